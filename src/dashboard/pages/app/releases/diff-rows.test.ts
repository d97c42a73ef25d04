import { expect, test } from 'vitest'
import { diffRows } from './diff-rows.ts'

test('a field that one release does not have is added or removed', () => {
  expect(
    diffRows([
      { field: 'port', after: 80 },
      { field: 'command', before: ['node', 'a.js'] },
    ]),
  ).toEqual([
    { field: 'port', kind: 'added', after: '80' },
    { field: 'command', kind: 'removed', before: '["node","a.js"]' },
  ])
})

test('values of variables and secrets are short digests, and so are ids of images', () => {
  const digest = `sha256:${'ab'.repeat(32)}`
  expect(
    diffRows([
      { field: 'env.A', before: digest, after: 'hmac:0123456789abcdef' },
      { field: 'pinned.id', before: digest, after: digest },
      { field: 'image', before: 'a:1', after: 'a:2' },
    ]),
  ).toEqual([
    { field: 'env.A', kind: 'changed', before: 'digest abababababab', after: 'digest 0123456789ab' },
    { field: 'pinned.id', kind: 'changed', before: 'abababababab', after: 'abababababab' },
    { field: 'image', kind: 'changed', before: 'a:1', after: 'a:2' },
  ])
})
