import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ownName } from './own-name.ts'

for (const [image, host, wanted] of [
  ['localhost:8080/blog:1', 'localhost:8080', 'master.shadow/blog:1'],
  ['localhost:8080/blog:1', '127.0.0.1:8080', 'master.shadow/blog:1'],
  ['127.0.0.1:8080/a/b@sha256:0', '[::1]:8080', '127.0.0.1:8080/a/b@sha256:0'],
  ['master.shadow:8080/blog', 'MASTER.shadow:8080', 'master.shadow/blog'],
  ['localhost:5000/blog:1', 'localhost:8080', 'localhost:5000/blog:1'],
  ['localhost/blog:1', 'localhost:8080', 'localhost/blog:1'],
  ['ghcr.io/anna/blog:2', 'localhost:8080', 'ghcr.io/anna/blog:2'],
  ['blog', 'localhost:8080', 'blog'],
  ['blog/x', 'blog', 'blog/x'], // a user of Docker Hub, not a host
  ['localhost:8080/blog:1', undefined, 'localhost:8080/blog:1'],
] as const)
  test(`"${image}", named to ${host}, is ${wanted}`, () => {
    if (wanted.includes('@')) assert.throws(() => ownName(image, host), /is not a digest/)
    else assert.equal(ownName(image, host), wanted)
  })
