import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { destinationsOf, egress, namesDomains, reachesHost } from './egress.ts'
import { hostname } from './hostname.ts'

describe('what an app may reach', () => {
  for (const good of [
    'none',
    'internet',
    'private',
    'host',
    'host:5432',
    '10.0.0.5',
    '10.0.0.5:5432',
    '10.0.0.0/8',
    '10.0.0.0/8:443',
    'db.example.com',
    '*.example.com',
    'api.example.com:8443',
    '*.example.com:1',
  ])
    test(`"${good}" is taken`, () => assert.equal(egress(good), good))

  for (const bad of [
    '',
    'all',
    'host:',
    'host:0',
    'host:65536',
    '10.0.0.5:x',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '300.1.1.1',
    'prviate',
    'localhost:80',
    '*',
    '*.',
    '*.*.example.com',
    'a.*.example.com',
    '*example.com',
    'https://api.example.com',
    'api.example.com/v1',
    'api.example.com:0',
    'api..example.com',
    '-a.example.com',
    'api.example.com -j ACCEPT',
    'fd00::1',
    '[fd00::1]:443',
    '10.0.0.5:1:2',
    '10.0.0.5 -j ACCEPT',
    'host\n',
  ])
    test(`${JSON.stringify(bad)} is refused`, () =>
      assert.throws(
        () => egress(bad),
        error => error instanceof ShadowError && error.code === 'bad-input',
      ))

  test('none closes the internet and leaves what is named beside it', () => {
    assert.deepEqual(destinationsOf([egress('none'), egress('10.0.0.5:5432')]), {
      internet: false,
      destinations: [{ to: '10.0.0.5', port: 5432 }],
      hosts: [],
    })
    assert.deepEqual(destinationsOf([egress('host:53')]), {
      internet: true,
      destinations: [{ to: 'host', port: 53 }],
      hosts: [],
    })
  })

  test('private networks are all but those where clouds give out credentials', () => {
    const { destinations } = destinationsOf([egress('private')])
    assert.deepEqual(
      destinations.map(({ to }) => to),
      ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'],
    )
  })

  test('a domain closes the internet, and is compared in lower case', () => {
    const list = [egress('API.Example.com.'), egress('*.example.org:8443'), egress('10.0.0.5:5432')]
    assert.deepEqual(destinationsOf(list), {
      internet: false,
      destinations: [{ to: '10.0.0.5', port: 5432 }],
      hosts: [
        { name: 'api.example.com', ports: [80, 443] },
        { name: '*.example.org', ports: [8_443] },
      ],
    })
    assert.deepEqual([namesDomains(list), namesDomains([egress('10.0.0.0/8:443'), egress('host:1')])], [true, false])
  })

  test('a domain is that name at its ports; with a star, all names below it', () => {
    const { hosts } = destinationsOf([egress('api.example.com'), egress('*.example.org:8443')])
    const reaches = (name: string, port?: number) => reachesHost(hosts, hostname(name), port)
    assert.deepEqual(
      [
        reaches('api.example.com', 443),
        reaches('api.example.com', 80),
        reaches('api.example.com'),
        reaches('api.example.com', 8_080),
        reaches('evil.api.example.com', 443),
        reaches('xapi.example.com', 443),
        reaches('api.example.com.evil.org', 443),
      ],
      [true, true, true, false, false, false, false],
    )
    assert.deepEqual(
      [
        reaches('a.example.org', 8_443),
        reaches('b.a.example.org', 8_443),
        reaches('a.example.org', 443),
        reaches('example.org', 8_443),
        reaches('evilexample.org', 8_443),
      ],
      [true, true, false, false, false],
    )
  })
})
