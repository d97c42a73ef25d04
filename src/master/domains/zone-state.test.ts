import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { DnsView } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'
import { zoneStates } from './zone-state.ts'

const front = { name: 'front-1', addresses: ['203.0.113.1'], isNameServer: true, isAlive: true }
const view: DnsView = {
  zones: ['apps.example.com', 'other.example'] as Hostname[],
  authorities: [],
  fronts: [front, { ...front, name: 'front-2', isNameServer: false }, { ...front, name: 'front-3', isAlive: false }],
}
const { signal } = new AbortController()
const hostnames = ['blog.apps.example.com', 'shop.apps.example.com', 'www.example.org'] as Hostname[]
const nameServers = ['front-1', 'front-3'].map(name => ({
  ...{ name: `${name}.ns.apps.example.com`, addresses: ['203.0.113.1'] },
}))

test('the zones that have a hostname are shown, with the fronts that are name servers, and who is found', async () => {
  const resolve = async () => ['NS2.provider.example', 'ns1.provider.example']
  assert.deepEqual(await zoneStates(hostnames, { view, signal, resolve }), [
    { zone: 'apps.example.com', nameServers, found: ['ns1.provider.example', 'ns2.provider.example'], fault: null },
  ])
})

test('why there is no name server is told, and one that does not answer is not waited for', async () => {
  const missing = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
  const stateOf = async (options: Parameters<typeof zoneStates>[1]) => (await zoneStates(hostnames, options))[0]?.fault
  assert.equal(await stateOf({ view, signal, resolve: missing }), 'ENOTFOUND')
  const ending = new AbortController()
  const silent = stateOf({ view, signal: ending.signal, resolve: () => new Promise(() => undefined) })
  ending.abort()
  assert.equal(await silent, 'ETIMEOUT')
})

test('without a front that is a name server, the zones are not looked at', async () => {
  const resolve = () => assert.fail('asked')
  const none = { ...view, fronts: [{ ...front, isNameServer: false }] }
  assert.deepEqual(await zoneStates(hostnames, { view: none, signal, resolve }), [])
})
