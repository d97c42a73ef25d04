import assert from 'node:assert/strict'
import { test } from 'vitest'
import { TSIG_ERROR } from '../../lib/dns/tsig.ts'
import { CLASS, type DecodedDnsMessage, type DnsRecord, framed, OPCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { HandClock } from '../../testing/clock.ts'
import { type DnsAnswer, dnsServer } from '../../testing/dns-server.ts'
import { OrderError } from './authority.ts'
import { dnsUpdates } from './dns-update.ts'

const RECORD = '_acme-challenge.apps.example.com'
const key = { name: 'shadow', secret: Buffer.from('0123456789abcdef') }
const soaOf = (name: string): DnsRecord => ({ name, type: TYPE.SOA, class: CLASS.IN, ttl: 60, data: Buffer.alloc(22) })

async function environment(answerOf: (asked: DecodedDnsMessage) => DnsAnswer | undefined, zone?: string) {
  const clock = new HandClock()
  const asked: DecodedDnsMessage[] = []
  const server = await dnsServer(key, message => {
    asked.push(message)
    return answerOf(message)
  })
  const { port } = server
  const records = dnsUpdates({ server: { host: '127.0.0.1', port }, key, zone, clock })
  return { clock, asked, port, records, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** What is told if the server answers an update so. */
async function problemOf(answer: DnsAnswer): Promise<string> {
  await using on = await environment(() => answer, 'example.com')
  const { message } = await on.records.set(RECORD, 'v').then(
    () => assert.fail('it was taken for done'),
    (error: Error) => error,
  )
  const where = `the DNS server 127.0.0.1:${on.port} could not set the TXT record ${RECORD}: `
  assert(message.startsWith(where), message)
  return message.slice(where.length)
}

test('a record is set and cleared in the zone of its name, which the server tells; other values of that name stay', async () => {
  await using on = await environment(({ opcode }) =>
    opcode === OPCODE.QUERY ? { isAuthoritative: true, rcode: 3, authority: [soaOf('example.com')] } : {},
  )
  await on.records.set(RECORD, 'one')
  await on.records.clear(RECORD, 'one')
  const updates = on.asked.filter(({ opcode }) => opcode === OPCODE.UPDATE)
  const record = { name: RECORD, type: TYPE.TXT, data: Buffer.from('\x03one') }
  assert.deepEqual(
    updates.map(({ questions, authority, tsig }) => [questions[0]?.name, authority, tsig?.name]),
    [
      ['example.com', [{ ...record, class: CLASS.IN, ttl: 60 }], 'shadow'],
      ['example.com', [{ ...record, class: CLASS.NONE, ttl: 0 }], 'shadow'],
    ],
  )
})

test('the zone is looked for at the names above where the answer is about another name', async () => {
  await using on = await environment(({ opcode, questions }) => {
    if (opcode === OPCODE.UPDATE) return {}
    if (questions[0]?.name === 'example.com') return { isAuthoritative: true, answers: [soaOf('example.com')] }
    return { isAuthoritative: true, authority: [soaOf('elsewhere.net')] } // the target of a CNAME
  })
  await on.records.set(RECORD, 'v')
  assert.deepEqual(
    on.asked.map(({ questions }) => questions[0]?.name),
    [RECORD, 'apps.example.com', 'example.com', 'example.com'],
  )
})

test('a zone that is at no server or at another one is told', async () => {
  const set = async (answer: DnsAnswer): Promise<void> => {
    await using on = await environment(() => answer)
    await on.records.set(RECORD, 'v')
  }
  await assert.rejects(set({}), /it has no zone for it: .*SHADOW_DNS_UPDATE_ZONE/)
  await assert.rejects(set({ rcode: 5 }), /it has no zone for _acme-challenge.*\(REFUSED\).*primary server/)
  const cut = { ...soaOf('apps.example.com'), type: TYPE.NS }
  await assert.rejects(set({ authority: [cut] }), /the zone apps\.example\.com is at other servers/)
})

test('each refusal is told with its name and its mend', async () => {
  const other = Buffer.alloc(6)
  other.writeUIntBE(1_800_001_000, 0, 6)
  assert.match(
    await problemOf({ rcode: 9, tsigError: TSIG_ERROR.BADTIME, other }),
    /its clock says 2027-01-15T08:16:40.000Z, .* 2027-01-15T08:00:00.000Z \(BADTIME\): .*NTP/,
  )
  assert.match(await problemOf({ rcode: 9, tsigError: TSIG_ERROR.BADTIME, other: Buffer.alloc(6, 255) }), /BADTIME/)
  assert.match(
    await problemOf({ rcode: 9, tsigError: TSIG_ERROR.BADSIG }),
    /shadow .*\(BADSIG\): .*SHADOW_DNS_UPDATE_SECRET/,
  )
  assert.match(
    await problemOf({ rcode: 9, tsigError: TSIG_ERROR.BADKEY }),
    /no key shadow .*\(BADKEY\): .*SHADOW_DNS_UPDATE_KEY/,
  )
  assert.match(await problemOf({ rcode: 9, tsigError: 22 }), /TSIG error 22/)
  assert.match(await problemOf({ rcode: 9 }), /primary server of the zone example\.com \(NOTAUTH\)/)
  assert.match(await problemOf({ rcode: 5 }), /key shadow for example\.com \(REFUSED\): .*allow-update/)
  assert.match(await problemOf({ rcode: 10 }), /not in the zone example\.com \(NOTZONE\)/)
  assert.match(await problemOf({ rcode: 2 }), /SERVFAIL/)
  assert.match(await problemOf({ rcode: 1 }), /FORMERR/)
  assert.match(await problemOf({ rcode: 3 }), /NXDOMAIN/)
  assert.match(await problemOf({ rcode: 14 }), /code 14/)
})

test('an answer that the key has not signed now, or to another question, does not count', async () => {
  assert.match(
    await problemOf({ signedBy: { ...key, secret: Buffer.from('another') } }),
    /not signed by the key shadow/,
  )
  assert.match(await problemOf({ signedBy: { ...key, name: 'other' } }), /not signed by the key shadow/)
  assert.match(await problemOf({ signedBy: null }), /not signed by the key shadow/)
  assert.match(await problemOf({ signedAt: 1_800_000_301 }), /more than 300 seconds before or after now/)
  assert.match(await problemOf({ opcode: OPCODE.QUERY }), /answered another question/)
  assert.match(await problemOf({ isResponse: false }), /answered another question/)
})

test('a malformed answer is an error', async () => {
  assert.match(await problemOf(framed(Buffer.alloc(0))), /ends too early/)
  assert.match(await problemOf(framed(Buffer.alloc(40, 255))), /more records than bytes/)
  assert.match(await problemOf(Buffer.from('000a1234', 'hex')), /closed the connection without a whole answer/)
  assert.match(await problemOf(Buffer.alloc(0)), /closed the connection without a whole answer/)
})

test('a server that does not answer is given up after 15 seconds, and the secret is in no error', async () => {
  let isAsked = (): void => undefined
  const asked = new Promise<void>(resolve => {
    isAsked = resolve
  })
  await using on = await environment(() => void isAsked(), 'example.com')
  const failed = on.records.set(RECORD, 'v').catch((error: Error) => error)
  await asked
  await on.clock.advance(15_000)
  const error = await failed
  assert(error instanceof OrderError)
  assert.match(error.message, /no answer within 15 s/)
  assert(!JSON.stringify([error.message, error.stack, String(error.cause)]).includes(key.secret.toString('base64')))
})

test('a server that is not there is an error', async () => {
  const on = await environment(() => undefined, 'example.com')
  await on[Symbol.asyncDispose]()
  await assert.rejects(on.records.set(RECORD, 'v'), /could not set .*ECONNREFUSED/)
})
