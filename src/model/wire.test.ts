import { expect, test } from 'vitest'
import { egress } from './egress.ts'
import { hostname } from './hostname.ts'
import { headerValue, hostsNotReached, usualFormat, wireFormat, wireHeader } from './wire.ts'

const one = { secret: 'KEY', host: hostname('api.example.com'), header: 'Authorization', format: 'Bearer {}' }

test('a secret is written as its format says, and not at all where it cannot be in a header', () => {
  expect(headerValue({ ...one, value: 'sk-1' })).toBe('Bearer sk-1')
  expect(headerValue({ ...one, format: '{}', value: '$& {}' })).toBe('$& {}')
  for (const value of [undefined, '', 'a\nb', 'a\r\nX: y', 'é'])
    expect(headerValue({ ...one, value }), JSON.stringify(value)).toBeUndefined()
  expect([usualFormat('AUTHORIZATION'), usualFormat('X-Api-Key')]).toEqual(['Bearer {}', '{}'])
})

test('a header that frames or routes the request carries no secret', () => {
  for (const good of ['Authorization', 'x-api-key', 'Cookie']) expect(wireHeader(good)).toBe(good)
  for (const bad of [
    '',
    'Host',
    'content-length',
    'Transfer-Encoding',
    'Proxy-Authorization',
    'X-Forwarded-For',
    'a b',
    'a:b',
  ])
    expect(() => wireHeader(bad), bad).toThrow(/no header/)
  expect(wireFormat('token {}')).toBe('token {}')
  for (const bad of ['', 'Bearer', '{}{}', '{}\n']) expect(() => wireFormat(bad), bad).toThrow(/has not one/)
})

test('a host has to be among the domains that the app may reach', () => {
  expect(hostsNotReached([one], [egress('*.example.com')])).toEqual([])
  expect(hostsNotReached([one], [egress('example.com')])).toEqual(['api.example.com'])
  expect(hostsNotReached([one])).toEqual(['api.example.com'])
})
