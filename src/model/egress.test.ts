import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { destinationsOf, egress } from './egress.ts'

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
    'db.example.com',
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
    })
    assert.deepEqual(destinationsOf([egress('host:53')]), { internet: true, destinations: [{ to: 'host', port: 53 }] })
  })

  test('private networks are all but those where clouds give out credentials', () => {
    const { destinations } = destinationsOf([egress('private')])
    assert.deepEqual(
      destinations.map(({ to }) => to),
      ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'],
    )
  })
})
