import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { DomainState, ZoneState } from '../model/domain-state.ts'
import { shadow } from '../testing/cli.ts'
import { anApp } from '../testing/fake-app.ts'

const well: DomainState = {
  hostname: 'blog.example.com',
  isLocal: false,
  addresses: ['203.0.113.7', '2001:db8::7'],
  fault: null,
  front: 'front',
  certificate: { names: ['blog.example.com'], issuer: 'Let’s Encrypt', until: '2027-02-01T00:00:00.000Z', fault: null },
  order: null,
}
const absent = { ...well, addresses: [], fault: 'ENOTFOUND', front: null, certificate: null }

const check = (...items: DomainState[]) => checkWith([], ...items)

async function checkWith(zones: readonly ZoneState[], ...items: DomainState[]) {
  const { exit, terminal } = await shadow('domains check blog', { listDomains: () => ({ items, zones }) })
  assert.equal(exit, 0, terminal.stderr)
  return terminal.stdout
}

test('where all is well, nothing is missing', async () => {
  const out = await check(well)
  assert.match(out, /^blog\.example\.com +203\.0\.113\.7, 2001:db8::7: a front +Let’s Encrypt, until 2027-02-01/m)
  assert.equal(out.trim().split('\n').length, 2)
})

for (const [what, changes, wanted] of [
  [
    'no record',
    absent,
    /: a DNS record is missing; add "blog\.example\.com\. A ADDRESS", with the public address of a front/,
  ],
  ['broken name servers', { ...absent, fault: 'ETIMEOUT' }, /: the name servers give no answer \(ETIMEOUT\)/],
  ['a name of one machine', { ...absent, isLocal: true }, /: no name server knows such a name/],
  [
    'a record to another server',
    { front: 'other' },
    /leads to 203\.0\.113\.7, 2001:db8::7, where something other than a front/,
  ],
  ['a record to nobody', { front: 'nobody' }, /where nobody answers on port 80; change it to/],
  [
    'an order that failed',
    {
      order: {
        name: 'blog.example.com',
        until: null,
        problem: 'the authority says: no',
        nextAt: '2027-01-01T00:00:00.000Z',
      },
    },
    /: no new certificate: the authority says: no; tried again at 2027-01-01/,
  ],
] as const)
  test(`shadow domains check says what to do about ${what}`, async () =>
    assert.match(await check({ ...well, ...changes }), wanted))

test('the missing record has the addresses where another hostname of the app leads', async () => {
  const out = await check(well, { ...absent, hostname: 'www.example.com' })
  assert.match(out, /add "www\.example\.com\. A 203\.0\.113\.7" and "www\.example\.com\. AAAA 2001:db8::7"/)
})

const zone: ZoneState = {
  zone: 'example.com',
  nameServers: [
    { name: 'front-1.ns.example.com', addresses: ['203.0.113.7', '2001:db8::7'] },
    { name: 'front-2.ns.example.com', addresses: ['203.0.113.8'] },
  ],
  found: ['front-1.ns.example.com', 'front-2.ns.example.com'],
  fault: null,
}

test('of a zone of the fronts, nothing is missing where the zone above names them all', async () =>
  assert.equal((await checkWith([zone], well)).trim().split('\n').length, 2))

test('the NS records and the addresses that the zone above needs are told, and no record of the hostname', async () => {
  const out = await checkWith([{ ...zone, found: [], fault: 'ENOTFOUND' }], absent)
  for (const record of [
    'example.com. NS front-1.ns.example.com.',
    'example.com. NS front-2.ns.example.com.',
    'front-1.ns.example.com. A 203.0.113.7',
    'front-1.ns.example.com. AAAA 2001:db8::7',
    'front-2.ns.example.com. A 203.0.113.8',
  ])
    assert(out.includes(`"${record}"`), record)
  assert.doesNotMatch(out, /blog\.example\.com\. A/)
})

test('a front that is new, other name servers, and name servers without an answer are told apart', async () => {
  const one = await checkWith([{ ...zone, found: ['front-1.ns.example.com'] }], well)
  assert.match(
    one,
    /add there "example\.com\. NS front-2\.ns\.example\.com\." and "front-2\.ns\.example\.com\. A 203\.0\.113\.8"$/m,
  )
  const others = await checkWith([{ ...zone, found: ['ns1.provider.example'] }], well)
  assert.match(others, / in place of ns1\.provider\.example$/m)
  const silent = await checkWith([{ ...zone, found: [], fault: 'ESERVFAIL' }], absent)
  assert.match(silent, /give no answer \(ESERVFAIL\); open port 53 of the fronts for UDP and TCP/)
})

test('an app without a hostname is told how to get one', async () => {
  assert.match(await check(), /blog has no hostname: shadow domains add blog/)
})

const app = { ...anApp(), domains: ['blog.localhost', 'www.example.com'] }
for (const [line, domains] of [
  ['add blog a.example b.example', ['blog.localhost', 'www.example.com', 'a.example', 'b.example']],
  ['rm blog www.example.com', ['blog.localhost']],
] as const)
  test(`shadow domains ${line}`, async () => {
    const { exit, calls, terminal } = await shadow(`domains ${line}`, {
      getApp: () => app,
      updateApp: ({ body }) => ({ ...app, ...(body as object) }),
      listInstances: () => ({ items: [] }),
      getInstance: () => ({ phase: 'asleep' }),
    })
    const sent = calls.find(({ name }) => name === 'updateApp')
    assert.deepEqual([exit, sent?.body, sent?.ifMatch], [0, { domains }, '"1"'], terminal.stderr)
  })

test('a hostname that the app does not have is refused', async () => {
  const { exit, terminal } = await shadow('domains rm blog x.example', { getApp: () => app })
  assert.notEqual(exit, 0)
  assert.match(terminal.stderr, /it has no domain x\.example/)
})
