import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type Hostname, hostname } from './hostname.ts'
import { appName } from './names.ts'
import { releaseAt, releaseHost } from './release-host.ts'

const DOMAIN = hostname('apps.example.com')

test('the hostname of a release names it', () => {
  const host = releaseHost(12, appName('blog'), DOMAIN)
  assert.equal(host, 'r12--blog.apps.example.com')
  assert.deepEqual(releaseAt(hostname(host), DOMAIN), { app: 'blog', revision: 12 })
})

for (const other of [
  'blog.apps.example.com',
  'r12-blog.apps.example.com',
  'r0--blog.apps.example.com',
  'r12--.apps.example.com',
  'rx--blog.apps.example.com',
  'r12--blog.example.com',
  'r12--blog.x.apps.example.com',
  'a.r12--blog.apps.example.com',
])
  test(`${other} is of no release`, () => assert.equal(releaseAt(other as Hostname, DOMAIN), undefined))
