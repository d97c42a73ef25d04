import { assert, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hostname, hostOf } from './hostname.ts'
import { appName, isAppName } from './names.ts'

describe('the name of an app', () => {
  for (const text of ['a', '0', 'blog', 'my-app-2', 'x'.repeat(63)])
    test(`may be "${text}"`, () => expect(appName(text)).toBe(text))

  for (const [text, why] of [
    ['', 'it is empty'],
    ['Blog', '"B" at position 0'],
    ['my_app', '"_" at position 2'],
    ['-a', 'begins or ends'],
    ['a-', 'begins or ends'],
    ['x'.repeat(64), '64 characters'],
    ['../etc', '"." at position 0'],
  ] as const)
    test(`cannot be "${text}": ${why}`, () => expect(() => appName(text)).toThrow(why))

  test('is always a hostname label too', async () => {
    await assert(property(string({ maxLength: 70 }), text => !isAppName(text) || hostname(`${text}.localhost`) !== ''))
  })
})

describe('a domain', () => {
  for (const [text, wanted] of [
    ['blog.example.com', 'blog.example.com'],
    ['BLOG.Example.com.', 'blog.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
  ] as const)
    test(`"${text}" is ${wanted}`, () => expect(hostname(text)).toBe(wanted))

  for (const text of [
    '',
    '.',
    'a..b',
    'http://a.b',
    'a.b:80',
    'a b',
    'a.b/c',
    '-a.b',
    '127.0.0.1',
    `${'a'.repeat(64)}.b`,
    '*.a.b',
  ])
    test(`"${text}" is none`, () => expect(() => hostname(text)).toThrow(/^domain /))
})

describe('the host of a Host header', () => {
  for (const [header, wanted] of [
    ['blog.example.com', 'blog.example.com'],
    ['blog.example.com:8080', 'blog.example.com'],
    ['BLOG.example.com.', 'blog.example.com'],
    ['BLOG.example.com.:443', 'blog.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    [undefined, undefined],
    ['', undefined],
    ['[::1]:80', undefined],
    ['a b', undefined],
    ['evil.com/blog.example.com', undefined],
    ['user@blog.example.com', undefined],
  ] as const)
    test(`"${header}" is ${wanted}`, () => expect(hostOf(header)).toBe(wanted))

  test('is never one that no app could be registered with', async () => {
    await assert(
      property(string({ maxLength: 40 }), header => {
        const host = hostOf(header)
        return host === undefined || /^[a-z0-9._-]+$/.test(host)
      }),
    )
  })
})
