import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { Seals, sealKeys } from '../../lib/seals.ts'
import { authorityCertificate, certificateRequest, newPrivateKey, signCertificate } from '../../lib/tls/x509.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { MasterLease } from '../master-lease.ts'
import { type Order, OrderError } from './authority.ts'
import { certificateRecords } from './certificates.ts'
import { Renewer } from './renewer.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const LASTS = 90 * DAY
const never = new AbortController().signal

/** An authority whose certificates last 90 days. A test may make it fail, or wait in the middle of an order. */
async function anAuthority(clock: HandClock) {
  const key = newPrivateKey()
  const root = { name: 'Test CA', key, from: clock.wall() - DAY, until: clock.wall() + 10 * 365 * DAY }
  const certificate = await authorityCertificate(root)
  const orders: string[] = []
  const state = {
    orders,
    fails: undefined as Error | undefined,
    waits: undefined as Promise<void> | undefined,
    lasts: LASTS,
    /** How far its clock is behind. */
    behind: 0,
    /** The names in its certificates, if not those that were ordered. */
    gives: undefined as string | undefined,
  }
  const order = async ({ name, key: own }: Order): Promise<string> => {
    orders.push(name)
    await state.waits
    if (state.fails !== undefined) throw state.fails
    const hosts = [state.gives ?? name]
    const from = clock.wall() - state.behind
    const validity = { from, until: from + state.lasts }
    const request = { request: await certificateRequest(own), name: 'test', hosts, isServer: true, ...validity }
    return signCertificate({ certificate, key }, request)
  }
  return Object.assign(state, { order })
}

async function aCluster({ newPerHour = 20, byDns = [] as readonly string[] } = {}) {
  const clock = new HandClock()
  const storage = memoryStorage()
  const seals = new Seals(sealKeys(TEST_SECRETS_KEY))
  const authority = await anAuthority(clock)
  const used = new Set<string>()
  const certificates = certificateRecords({ storage, seals, clock })
  const master = () =>
    new Renewer({
      authority,
      certificates: certificateRecords({ storage, seals, clock }),
      solver: () => ({ put: async () => undefined, clear: async () => undefined }),
      lease: new MasterLease({ storage, key: 'acme/renewer.json', lastsMs: 60_000, clock }),
      tidy: async () => undefined,
      isUsed: async name => used.has(name),
      announce: () => undefined,
      random: () => 0.5,
      ...{ byDns, newPerHour, clock, log: noLog },
    })
  const want = async (...names: string[]): Promise<void> => {
    for (const name of names) {
      used.add(name)
      await certificates.want(name)
    }
  }
  const document = async (name: string) => (await certificates.read(name))?.document
  return { clock, storage, authority, used, certificates, master, want, document }
}

test('a wanted certificate is ordered once, stored with its key encrypted, and renewed when a third of its lifetime is left', async () => {
  const { clock, authority, certificates, master, want, document, storage } = await aCluster()
  const one = master()
  await want('blog.example')
  await one.look(never)
  await one.look(never)
  const { current: first, failures, problem } = (await document('blog.example')) ?? {}
  assert(first !== undefined)
  assert.deepEqual([authority.orders, failures, problem], [['blog.example'], 0, undefined])
  assert.match(certificates.keyIn('blog.example', first), /BEGIN PRIVATE KEY/)
  assert.doesNotMatch(JSON.stringify(await storage.get('certificates/blog.example.json')), /PRIVATE KEY/)
  await clock.leap(60 * DAY - MINUTE)
  await one.look(never)
  assert.equal(authority.orders.length, 1)
  await clock.leap(2 * MINUTE)
  await one.look(never)
  assert.equal(authority.orders.length, 2)
  assert.notEqual((await document('blog.example'))?.current?.chain, first.chain)
})

test('while the authority is away for a week before the end, the certificate stays, and is renewed once the authority is back', async () => {
  const { clock, authority, master, want, document } = await aCluster()
  const one = master()
  await want('blog.example', 'shop.example')
  await one.look(never)
  const before = await document('blog.example')
  await clock.leap(LASTS - 7 * DAY)
  authority.orders.length = 0
  authority.fails = new OrderError('the authority does not answer: ECONNREFUSED', { isAway: true })
  for (let minutes = 0; minutes < 6 * 24 * 60; minutes += 10) {
    await one.look(never)
    await clock.leap(10 * MINUTE)
  }
  const now = await document('blog.example')
  assert.equal(now?.current?.chain, before?.current?.chain)
  assert.equal(now?.problem, 'the authority does not answer: ECONNREFUSED')
  assert(authority.orders.length > 20 && authority.orders.length < 120, `${authority.orders.length} orders in six days`)
  authority.fails = undefined
  // Since the end is near, it is tried again soon.
  for (let minutes = 0; minutes < 3 * 60; minutes += 10) {
    await clock.leap(10 * MINUTE)
    await one.look(never)
  }
  for (const name of ['blog.example', 'shop.example']) {
    const { current, problem } = (await document(name)) ?? {}
    assert.equal(problem, undefined)
    assert(Date.parse(current?.until ?? '') > clock.wall() + 80 * DAY)
  }
})

test('while the authority is away, no other certificate is tried in the same round', async () => {
  const { authority, master, want } = await aCluster()
  await want(...Array.from({ length: 40 }, (_, at) => `app-${at}.example`))
  authority.fails = new OrderError('away', { isAway: true })
  await master().look(never)
  assert(authority.orders.length <= 4, `${authority.orders.length}`)
})

test('of any number of masters one orders; when it dies, another one goes on, and does not repeat the order at once', async () => {
  const { clock, authority, master, want, document } = await aCluster()
  const [one, two] = [master(), master()]
  await want('blog.example')
  await Promise.all([one.look(never), two.look(never)])
  assert.deepEqual(authority.orders, ['blog.example'])

  await want('shop.example')
  const gate = Promise.withResolvers<void>()
  authority.waits = gate.promise
  const dying = new AbortController()
  const interrupted = one.look(dying.signal)
  while (authority.orders.length < 2) await new Promise(resolve => setImmediate(resolve))
  dying.abort()
  assert.deepEqual(authority.orders, ['blog.example', 'shop.example'])
  authority.waits = undefined
  await clock.leap(70_000)
  await two.look(never)
  assert.equal(authority.orders.length, 2)
  await clock.leap(3 * MINUTE)
  await two.look(never)
  assert.equal(authority.orders.length, 3)
  const { current } = (await document('shop.example')) ?? {}
  // The first one was only slow: what it brings does not replace what is there.
  gate.resolve()
  await interrupted
  assert.equal((await document('shop.example'))?.current?.chain, current?.chain)
})

test('a certificate for another name is not stored, and the one before is kept', async () => {
  const { clock, authority, master, want, document } = await aCluster()
  const one = master()
  await want('blog.example')
  await one.look(never)
  const before = await document('blog.example')
  await clock.leap(61 * DAY)
  authority.gives = 'other.example'
  await one.look(never)
  const now = await document('blog.example')
  assert.equal(now?.current?.chain, before?.current?.chain)
  assert.match(now?.problem ?? '', /does not serve blog.example/)
})

test('an authority whose certificates seem to be old already is not asked again and again', async () => {
  const { clock, authority, master, want } = await aCluster()
  const one = master()
  await want('blog.example')
  authority.lasts = 4 * HOUR
  authority.behind = 3 * HOUR
  for (let minutes = 0; minutes < 60; minutes++) {
    await one.look(never)
    await clock.leap(MINUTE)
  }
  assert.equal(authority.orders.length, 1)
})

test('only so many new certificates are ordered in an hour, by all masters together; renewals do not count', async () => {
  const { clock, authority, master, want, document } = await aCluster({ newPerHour: 3 })
  await want('old.example')
  await master().look(never)
  await clock.leap(61 * DAY)
  await want(...['a', 'b', 'c', 'd', 'e'].map(letter => `${letter}.example`))
  await master().look(never)
  assert.equal(authority.orders.length, 1 + 1 + 3)
  assert.match((await document('e.example'))?.problem ?? '', /^3 new certificates were ordered within an hour/)
  await clock.leap(59 * MINUTE)
  await master().look(never)
  assert.equal(authority.orders.length, 5)
  await clock.leap(2 * MINUTE)
  await master().look(never)
  assert.equal(authority.orders.length, 7)
})

test('what the authority asks to wait for is waited for', async () => {
  const { clock, authority, master, want, document } = await aCluster()
  await want('blog.example')
  authority.fails = new OrderError('the authority says: too many (rateLimited)', { retryAfterMs: 5 * HOUR })
  await master().look(never)
  assert.equal(Date.parse((await document('blog.example'))?.nextAt ?? '') - clock.wall(), 5 * HOUR)
})

test('the certificate of a hostname that its app has dropped is not renewed, and is removed when it has expired', async () => {
  const { clock, authority, master, want, used, document } = await aCluster({ byDns: ['*.apps.example'] })
  const one = master()
  await want('blog.example')
  await one.look(never)
  used.clear()
  await clock.leap(LASTS - MINUTE)
  await one.look(never)
  assert.equal((await document('blog.example'))?.name, 'blog.example')
  await clock.leap(2 * MINUTE)
  await one.look(never)
  assert.deepEqual([await document('blog.example'), authority.orders.length], [undefined, 1])
})

test('names that are ordered by DNS need no app, and are ordered when the first master starts', async () => {
  const { authority, master, document } = await aCluster({ byDns: ['*.apps.example'] })
  const ending = new AbortController()
  const running = master().run(ending.signal)
  while ((await document('*.apps.example'))?.current === undefined) await new Promise(resolve => setImmediate(resolve))
  ending.abort()
  await running
  assert.deepEqual(authority.orders, ['*.apps.example'])
})
