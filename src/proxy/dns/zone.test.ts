import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { DnsReader, type DnsRecord, RCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { type DnsView, nameServerHost, type PublicFront, zoneOf } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'
import { zoneAnswer } from './zone.ts'

const zone = 'apps.example.com' as Hostname
const front = (name: string, addresses: readonly string[], changes: Partial<PublicFront> = {}): PublicFront => ({
  ...{ name, addresses, isNameServer: true, isAlive: true, ...changes },
})
const one = front('front-1', ['203.0.113.1', '2001:db8::1'])
const two = front('front-2', ['203.0.113.2'])
const aView = (fronts: readonly PublicFront[] = [one, two]): DnsView => ({ zones: [zone], authorities: [], fronts })

const ask = (name: string, type: number, view = aView(), texts: readonly string[] = []) =>
  zoneAnswer({ name, type }, { zone, view, texts, random: () => 0 })
const addressOf = ({ type, data }: DnsRecord): string =>
  type === TYPE.A ? [...data].join('.') : data.toString('hex').replaceAll(/(....)(?!$)/g, '$1:')
const addresses = (name: string, view?: DnsView): readonly string[] =>
  (ask(name, TYPE.A, view).answers ?? []).map(addressOf).sort()
const noData = (name: string, type: number): void => {
  const { rcode, answers = [], authority = [] } = ask(name, type)
  assert.deepEqual([rcode, answers.length, authority.map(({ type }) => type)], [RCODE.NOERROR, 0, [TYPE.SOA]], name)
}

test('the zone itself, apps, sessions, their ports and releases lead to all fronts', () => {
  for (const name of [
    ...[zone, `blog.${zone}`, `r12--blog.${zone}`, `*.${zone}`],
    ...[`abcdefghijklmnop.work.${zone}`, `3000-abcdefghijklmnop.work.${zone}`],
  ])
    assert.deepEqual(addresses(name), ['203.0.113.1', '203.0.113.2'], name)
  const v6 = ask(`blog.${zone}`, TYPE.AAAA).answers ?? []
  assert.deepEqual(v6.map(addressOf), ['2001:0db8:0000:0000:0000:0000:0000:0001'])
  assert.deepEqual([v6[0]?.ttl, v6[0]?.name], [30, `blog.${zone}`])
})

describe('a front', () => {
  test('that is lost or leaves is in no answer, whatever its addresses are', () => {
    assert.deepEqual(addresses(zone, aView([{ ...one, isAlive: false }, two])), ['203.0.113.2'])
    assert.deepEqual(ask(zone, TYPE.AAAA, aView([{ ...one, isAlive: false }, two])).answers, undefined)
  })

  test('is given though it is lost, if all are', () => {
    const lost = [one, two].map(one => ({ ...one, isAlive: false }))
    assert.deepEqual(addresses(`blog.${zone}`, aView(lost)), ['203.0.113.1', '203.0.113.2'])
  })

  test('without an address does not stand in for those that have one', () => {
    const lost = { ...one, isAlive: false }
    assert.deepEqual(addresses(zone, aView([lost, front('front-3', [])])), ['203.0.113.1'])
  })

  test('as a name server has its own addresses, alive or not, and its name is a label', () => {
    assert.deepEqual(addresses(`front-1.ns.${zone}`, aView([{ ...one, isAlive: false }, two])), ['203.0.113.1'])
    assert.equal(nameServerHost('My_Server.', zone), `my-server.ns.${zone}`)
    assert.equal(nameServerHost('...', zone), `front.ns.${zone}`)
  })
})

test('many fronts are spread over answers of eight addresses', () => {
  const many = aView(Array.from({ length: 30 }, (_, at) => front(`f${at}`, [`192.0.2.${at}`])))
  const seen = new Set<string>()
  for (let round = 0; round < 200; round += 1) {
    const { answers = [] } = zoneAnswer(
      { name: zone, type: TYPE.A },
      { zone, view: many, texts: [], random: Math.random },
    )
    assert.equal(answers.length, 8)
    for (const record of answers) seen.add(addressOf(record))
  }
  assert.equal(seen.size, 30)
})

test('the zone names its servers, with their addresses, and those of no other front', () => {
  const view = aView([one, two, front('front-3', ['203.0.113.3'], { isNameServer: false })])
  const { answers = [], additional = [] } = ask(zone, TYPE.NS, view)
  const names = answers.map(({ data }) => new DnsReader(data).name())
  assert.deepEqual(names, [`front-1.ns.${zone}`, `front-2.ns.${zone}`])
  assert.deepEqual(
    additional.map(({ name, type }) => [name, type]),
    [
      [names[0], TYPE.A],
      [names[0], TYPE.AAAA],
      [names[1], TYPE.A],
    ],
  )
  assert.deepEqual(addresses(zone, view), ['203.0.113.1', '203.0.113.2', '203.0.113.3'])
})

test('SOA is at the zone itself, and says how long resolvers may keep that something is not there', () => {
  const [soa = assert.fail()] = ask(zone, TYPE.SOA).answers ?? []
  const reader = new DnsReader(soa.data)
  assert.deepEqual([reader.name(), reader.name()], [`front-1.ns.${zone}`, `hostmaster.${zone}`])
  const numbers = Array.from({ length: 5 }, () => reader.take(4).readUInt32BE())
  assert.deepEqual([soa.ttl, numbers.at(-1)], [300, 5])
  noData(`blog.${zone}`, TYPE.SOA)
})

test('a name that is there without records of the type is no error, and the SOA of its zone goes along', () => {
  noData(`blog.${zone}`, TYPE.TXT)
  noData(`blog.${zone}`, TYPE.NS)
  noData(zone, TYPE.CAA)
  noData(zone, 43)
  noData(`_acme-challenge.blog.${zone}`, TYPE.A)
  noData(`_acme-challenge.blog.${zone}`, TYPE.TXT)
  assert.equal(ask(`blog.${zone}`, TYPE.TXT).authority?.[0]?.ttl, 5)
})

test('a name that can be no hostname is not there', () => {
  for (const name of ['_dmarc', '_sip._tcp.blog', 'a_b', '-a', 'a-', 'a.*', 'a\\046b', '\\000'])
    for (const type of [TYPE.A, TYPE.TXT, TYPE.ANY]) {
      const { rcode, authority = [] } = ask(`${name}.${zone}`, type)
      assert.deepEqual([rcode, authority.map(({ type }) => type)], [RCODE.NXDOMAIN, [TYPE.SOA]], name)
    }
})

test('the TXT records of a challenge are kept by nobody', () => {
  const { answers = [] } = ask(`_acme-challenge.${zone}`, TYPE.TXT, aView(), ['one', 'two'])
  assert.deepEqual(
    answers.map(({ ttl, data }) => [ttl, data.toString('latin1')]),
    [
      [0, '\x03one'],
      [0, '\x03two'],
    ],
  )
})

test('CAA says who may issue certificates, wildcards too', () => {
  const { answers = [] } = ask(zone, TYPE.CAA, { ...aView(), authorities: ['letsencrypt.org'] })
  assert.deepEqual(
    answers.map(({ data }) => data.toString('latin1')),
    ['\0\x05issueletsencrypt.org', '\0\x09issuewildletsencrypt.org'],
  )
})

test('a question for records of all types gets one short record', () => {
  assert.deepEqual(
    ask(`blog.${zone}`, TYPE.ANY).answers?.map(({ type }) => type),
    [TYPE.HINFO],
  )
})

test('of several zones, the nearest one has the name', () => {
  const zones = ['example.com', 'apps.example.com'] as Hostname[]
  assert.equal(zoneOf('blog.apps.example.com', zones), 'apps.example.com')
  assert.equal(zoneOf('apps.example.com', zones), 'apps.example.com')
  assert.equal(zoneOf('myapps.example.com', zones), 'example.com')
  assert.equal(zoneOf('example.org', zones), undefined)
  assert.equal(zoneOf('com', zones), undefined)
})
