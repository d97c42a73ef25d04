import assert from 'node:assert/strict'
import fc from 'fast-check'
import { beforeEach, test } from 'vitest'
import { CLASS, type DnsRecord, decodeMessage, encodeMessage, RCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { noLog } from '../../lib/log.ts'
import type { DnsView } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'
import { HandClock } from '../../testing/clock.ts'
import { NameServer } from './name-server.ts'

const zone = 'apps.example.com' as Hostname
const NOTHING = { isResponse: false, isAuthoritative: false, rcode: 0, answers: [], authority: [], additional: [] }
const UDP = { ip: '198.51.100.7', isTcp: false }
const TCP = { ip: '198.51.100.7', isTcp: true }

let clock: HandClock
let view: DnsView | undefined
let asked: string[]
let texts: readonly string[] | undefined
let server: NameServer
beforeEach(() => {
  clock = new HandClock()
  const fronts = Array.from({ length: 8 }, (_, at) => ({
    ...{ name: `front-with-a-long-name-${at}`, addresses: [`203.0.113.${at}`, `2001:db8::${at}`] },
    ...{ isNameServer: true, isAlive: true },
  }))
  view = { zones: [zone], authorities: [], fronts }
  asked = []
  texts = ['value']
  const find = async (name: Hostname) => {
    asked.push(name)
    return texts
  }
  server = new NameServer({ view: () => view, texts: find, clock, log: noLog })
})

const query = (name: string, type: number = TYPE.A, of: number = CLASS.IN, additional: readonly DnsRecord[] = []) =>
  encodeMessage({ ...NOTHING, id: 7, opcode: 0, questions: [{ name, type, class: of }], additional })
const ask = async (message: Buffer, client = UDP) => {
  const answer = (await server.answer(message, client)) ?? assert.fail('no answer')
  const isTruncated = (answer.readUInt16BE(2) & 0x0200) !== 0
  return { ...decodeMessage(answer), bytes: answer, isTruncated }
}

test('is authoritative for its zones, offers no recursion, and refuses all else', async () => {
  const good = await ask(query(`blog.${zone}`))
  assert.deepEqual([good.isAuthoritative, good.rcode, good.bytes.readUInt8(3) & 0x80], [true, RCODE.NOERROR, 0])
  for (const refused of [
    query('example.com'),
    query('notapps.example.com'),
    query(''),
    query(zone, TYPE.A, 3),
    query(zone, TYPE.A, CLASS.ANY),
    query(zone, TYPE.AXFR),
    query(zone, TYPE.IXFR),
  ]) {
    const { isAuthoritative, rcode, answers } = await ask(refused)
    assert.deepEqual([isAuthoritative, rcode, answers], [false, RCODE.REFUSED, []])
  }
})

test('a name in mixed case is the same name, and comes back as it was written', async () => {
  const message = query(`blog.${zone}`)
  message.write('bLoG', 13)
  const { answers, bytes } = await ask(message)
  assert.equal(answers.length, 8)
  assert.equal(bytes.toString('latin1', 13, 17), 'bLoG')
})

test('before a master has said anything, it fails, so that resolvers ask another name server', async () => {
  view = undefined
  assert.equal((await ask(query(zone))).rcode, RCODE.SERVFAIL)
})

test('masters are asked for TXT records of challenges in the zone alone; if they do not answer, it fails', async () => {
  const name = `_acme-challenge.${zone}`
  assert.equal((await ask(query(name, TYPE.TXT))).answers[0]?.data.toString(), '\x05value')
  for (const other of [query(name), query(zone, TYPE.TXT), query('_acme-challenge.example.org', TYPE.TXT)])
    await server.answer(other, UDP)
  // This is no hostname, so no order has it.
  await server.answer(query(`_acme-challenge.${'a'.repeat(40)}.-.${zone}`, TYPE.TXT), UDP)
  assert.deepEqual(asked, [name])
  texts = undefined
  assert.equal((await ask(query(name, TYPE.TXT))).rcode, RCODE.SERVFAIL)
})

test('an answer that a client takes in no datagram is truncated, and whole by TCP', async () => {
  texts = Array.from({ length: 16 }, (_, at) => `${at}`.padStart(200, 'x'))
  const message = query(`_acme-challenge.${zone}`, TYPE.TXT, CLASS.IN, [
    { name: '', type: TYPE.OPT, class: 4_096, ttl: 0, data: Buffer.alloc(0) },
  ])
  const cut = await ask(message)
  assert.deepEqual([cut.isTruncated, cut.answers.length], [true, 0])
  const whole = await ask(message, TCP)
  assert.deepEqual([whole.isTruncated, whole.answers.length], [false, 16])
})

test('without EDNS the name servers fit into 512 bytes, if need be without their addresses', async () => {
  const { answers, isTruncated, bytes } = await ask(query(zone, TYPE.NS))
  assert.deepEqual([answers.length, isTruncated], [8, false])
  assert(bytes.length <= 512)
})

test('a network that asks too much gets some answers that say to ask by TCP, and no others', async () => {
  const message = query(`blog.${zone}`)
  const counts = { whole: 0, truncated: 0, none: 0 }
  const hosts = ['198.51.100.1', '198.51.100.2']
  for (let at = 0; at < 1_300; at += 1) {
    const answer = await server.answer(message, { ip: hosts[at % 2] ?? '', isTcp: false })
    const kind = answer === undefined ? 'none' : (answer.readUInt16BE(2) & 0x0200) === 0 ? 'whole' : 'truncated'
    counts[kind] += 1
    assert(kind !== 'truncated' || (answer?.length ?? 0) <= message.length)
  }
  assert.deepEqual(counts, { whole: 1_000, truncated: 100, none: 200 })
  assert.equal(server.limited, 300)
  // Neither another network, nor TCP, whose senders cannot be forged, is limited by that.
  assert.equal((await ask(message, { ip: '198.51.101.1', isTcp: false })).answers.length, 8)
  assert.equal((await ask(message, { ip: '198.51.100.1', isTcp: true })).answers.length, 8)
  await clock.advance(1_000)
  assert.equal((await ask(message, { ip: '198.51.100.1', isTcp: false })).answers.length, 8)
})

test('of IPv6, a /56 is one network', async () => {
  const message = query(`blog.${zone}`)
  const from = (ip: string) => server.answer(message, { ip, isTcp: false })
  for (let at = 0; at < 1_000; at += 1) await from(`2001:db8:0:10${(at % 16).toString(16)}::1`)
  assert.equal(await from('2001:db8:0:1ff::1'), undefined)
  assert.notEqual(await from('2001:db8:0:200::1'), undefined)
})

test('no bytes end it, and no answer by UDP is longer than what passes IPv6 networks in one piece', async () => {
  const good = [query(`blog.${zone}`), query(zone, TYPE.NS), query(zone, TYPE.ANY), query('x', TYPE.TXT)]
  const changes = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...good), changes, fc.nat(60), async (bytes, changed, end) => {
      const broken = Buffer.from(bytes)
      for (const [at, byte] of changed) broken[at % broken.length] = byte
      for (const message of [broken, broken.subarray(0, end)]) {
        await clock.advance(100)
        const answer = await server.answer(message, UDP)
        assert((answer?.length ?? 0) <= 1_232)
      }
    }),
    { numRuns: 500 },
  )
})
