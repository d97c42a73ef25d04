import assert from 'node:assert/strict'
import { test } from 'vitest'
import { hostname, hostOf } from './hostname.ts'

for (const [header, expected] of [
  ['blog.example', 'blog.example'],
  ['Blog.Example:8090', 'blog.example'],
  ['blog.example.', 'blog.example'],
  ['blog.example:', 'blog.example'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ['XN--BCHER-KVA.example:80', 'xn--bcher-kva.example'],
  ['b%C3%BCcher.example', 'xn--bcher-kva.example'],
  ['a_b.example', 'a_b.example'],
  // What follows names no app, whatever it is: it is answered 404.
  ['127.0.0.1:8090', undefined],
  ['[::1]:8090', undefined],
  ['[::1]', undefined],
  [':80', undefined],
  ['', undefined],
  ['a..b', undefined],
  ['-a.example', undefined],
  ['a%2fb.example', undefined],
  ['a@b', undefined],
  ['a b', undefined],
  [`${'a'.repeat(64)}.example`, undefined],
  [undefined, undefined],
] as const)
  test(`the Host ${JSON.stringify(header)?.slice(0, 40)} is ${expected ?? 'nobody'}`, () => {
    assert.equal(hostOf(header), expected)
  })

test('a domain in letters of another script is kept in ASCII, and found by either', () => {
  assert.equal(hostname('Bücher.example'), 'xn--bcher-kva.example')
  assert.equal(hostOf('xn--bcher-kva.example'), hostname('bücher.example'))
})
