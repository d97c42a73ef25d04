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
] as const)
  test(`the Host ${JSON.stringify(header)} is ${expected}`, () => {
    assert.equal(hostOf(header), expected)
  })

for (const header of [
  '127.0.0.1:8090',
  '[::1]:8090',
  '[::1]',
  ':80',
  '',
  'a..b',
  '.a',
  'a-.example',
  '127.0.0.1',
  '10',
  'a.1',
  '-a.example',
  'a%2fb.example',
  'a@b',
  'a b',
  `${'a'.repeat(64)}.example`,
])
  test(`the Host ${JSON.stringify(header).slice(0, 40)} is none that an app could have`, () => {
    assert.equal(hostOf(header), undefined)
  })

test('no Host is nobody', () => {
  assert.equal(hostOf(undefined), undefined)
})

test('a domain in letters of another script is kept in ASCII, and found by either', () => {
  assert.equal(hostname('Bücher.example'), 'xn--bcher-kva.example')
  assert.equal(hostOf('xn--bcher-kva.example'), hostname('bücher.example'))
})
