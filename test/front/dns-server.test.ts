import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, test } from 'vitest'
import { byteReader } from '../../src/lib/byte-reader.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CLASS, decodeMessage, encodeMessage, framed, RCODE, TYPE } from '../../src/lib/dns/wire-format.ts'
import { systemCode } from '../../src/lib/errors.ts'
import { dnsTexts } from '../../src/master/dns/texts.ts'
import { directory } from '../../src/master/storage/directory.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { hasNamed, namedResolver } from '../../src/testing/named.ts'
import { Cluster } from '../tools/cluster.ts'
import { Daemon } from '../tools/daemon.ts'
import { installed } from '../tools/installed.ts'
import { until } from '../tools/shadow.ts'

const ZONE = 'apps.test'
const ADDRESSES: Readonly<Record<string, string>> = { x: '203.0.113.1', y: '203.0.113.2', z: '203.0.113.3' }

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
let otherMaster: Daemon
const ports: Record<string, number> = {}

/** Two fronts that are name servers, a third one that is none, and two masters. */
beforeAll(async () => {
  built = await installed()
  for (const letter of ['x', 'y']) ports[letter] = await freePort()
  const settings = Object.fromEntries(
    Object.entries(ADDRESSES).map(([letter, address]) => {
      const listen = ports[letter] === undefined ? {} : { SHADOW_DNS_LISTEN: `127.0.0.1:${ports[letter]}` }
      return [letter, { SHADOW_PUBLIC_ADDRESSES: `${address},2001:db8::${letter.charCodeAt(0)}`, ...listen }]
    }),
  )
  const masterSettings = { SHADOW_APPS_DOMAIN: ZONE, SHADOW_DNS_CAA: 'letsencrypt.org' }
  const options = { nodes: [], fronts: Object.keys(ADDRESSES), joined: true, settings, masterSettings }
  cluster = await Cluster.start({ shadow: built.shadow, ...options })
  otherMaster = new Daemon([built.shadow, 'master', '--data', `${cluster.data}/other-master`], {
    ...masterSettings,
    SHADOW_STORAGE: `directory:${cluster.data}/master/store`,
    SHADOW_SECRETS_KEY: (await readFile(`${cluster.data}/master/secrets-key`, 'utf8')).trim(),
  })
})
afterAll(async () => {
  await otherMaster?.end('SIGKILL')
  await cluster?.[Symbol.asyncDispose]()
  await built?.[Symbol.asyncDispose]()
})

function resolverOf(front: string): Resolver {
  const resolver = new Resolver({ timeout: 5_000, tries: 2 })
  resolver.setServers([`127.0.0.1:${ports[front]}`])
  return resolver
}

/** The addresses that this front gives for a hostname; none while it has no answer. */
async function addresses(front: string, hostname = `blog.${ZONE}`): Promise<readonly string[]> {
  try {
    return (await resolverOf(front).resolve4(hostname)).sort()
  } catch (error) {
    if (['ESERVFAIL', 'ECONNREFUSED', 'ETIMEOUT', 'ENODATA'].includes(systemCode(error) ?? '')) return []
    throw error
  }
}

/** Resolves when the front answers with the addresses of these fronts, and of no others. */
const answers = async (front: string, ...letters: readonly string[]): Promise<void> => {
  const wanted = letters.map(letter => ADDRESSES[letter]).join()
  await until(async () => (await addresses(front)).join() === wanted || undefined)
}

test('every front that is a name server answers with the addresses of all fronts', async () => {
  for (const front of ['x', 'y']) await answers(front, 'x', 'y', 'z')
  const names = [ZONE, `anything.${ZONE}`, `3000-abcdefghijklmnop.work.${ZONE}`, `r12--blog.${ZONE}`]
  for (const name of names) assert.equal((await addresses('y', name)).length, 3, name)
  assert.equal((await resolverOf('x').resolve6(ZONE)).length, 3)
  const servers = [`x.ns.${ZONE}`, `y.ns.${ZONE}`]
  assert.deepEqual((await resolverOf('x').resolveNs(ZONE)).sort(), servers)
  assert.deepEqual(await addresses('x', servers[1]), [ADDRESSES['y']])
  assert.equal((await resolverOf('y').resolveSoa(ZONE)).nsname, servers[0])
  const authorities = (await resolverOf('y').resolveCaa(ZONE)).map(({ issue, issuewild }) => [issue, issuewild])
  assert.deepEqual(authorities, [
    ['letsencrypt.org', undefined],
    [undefined, 'letsencrypt.org'],
  ])
  for (const [name, code] of [
    [`_dmarc.${ZONE}`, 'ENOTFOUND'],
    [`blog.${ZONE}`, 'ENODATA'],
    ['example.com', 'EREFUSED'],
  ] as const)
    await assert.rejects(resolverOf('x').resolveTxt(name), { code })
})

test.skipIf(!hasNamed)('BIND resolves names of the zone by it, by TCP too where an answer is long', async () => {
  await using bind = await namedResolver(ZONE, ports['x'] ?? 0)
  const { resolver } = bind
  assert.equal((await resolver.resolve4(`blog.${ZONE}`)).length, 3)
  assert.equal((await resolver.resolve6(`3000-abcdefghijklmnop.work.${ZONE}`)).length, 3)
  assert.equal((await resolver.resolveNs(ZONE)).length, 2)
  await assert.rejects(resolver.resolve4(`_dmarc.${ZONE}`), { code: 'ENOTFOUND' })
  await assert.rejects(resolver.resolveMx(`blog.${ZONE}`), { code: 'ENODATA' })
  // More values than a datagram has room for, as masters store them.
  const record = `_acme-challenge.long.${ZONE}`
  const texts = dnsTexts({ storage: await directory({ path: `${cluster.data}/master/store` }), clock: systemClock })
  const values = Array.from({ length: 12 }, (_, at) => `${at}`.padStart(200, 'x'))
  for (const value of values) await texts.set(record, value)
  assert.equal((await resolver.resolveTxt(record)).length, 12)
  for (const value of values) await texts.clear(record, value)
  await assert.rejects(resolverOf('y').resolveTxt(record), { code: 'ENODATA' })
  assert.doesNotMatch(bind.log(), /FORMERR|format error|lame/i)
})

test('the records that the zone above needs are told', async () => {
  await cluster.admin.call('registerApp', { body: { name: 'blog', image: 'x' } })
  const { zones } = await cluster.admin.call('listDomains', { params: { app: 'blog' } })
  const nameServers = ['x', 'y'].map(letter => ({
    name: `${letter}.ns.${ZONE}`,
    addresses: [ADDRESSES[letter], `2001:db8::${letter.charCodeAt(0)}`],
  }))
  assert.deepEqual(
    zones.map(({ zone, nameServers }) => [zone, nameServers]),
    [[ZONE, nameServers]],
  )
})

test('it answers by TCP on the same port', async () => {
  const socket = connect(ports['x'] ?? 0, '127.0.0.1')
  const question = { name: ZONE, type: TYPE.NS, class: CLASS.IN }
  const empty = { isResponse: false, isAuthoritative: false, rcode: 0, answers: [], authority: [], additional: [] }
  socket.write(framed(encodeMessage({ id: 7, opcode: 0, questions: [question], ...empty })))
  const reader = byteReader(socket, () => new Error('it has ended'))
  const answer = decodeMessage(await reader.take((await reader.take(2)).readUInt16BE()))
  socket.destroy()
  assert.deepEqual([answer.rcode, answer.isAuthoritative], [RCODE.NOERROR, true])
  assert.deepEqual([answer.answers.length, answer.additional.length], [2, 4])
})

test('a front that stops, and a front that dies, are soon left out, and are back when they are', async () => {
  await cluster.front('z').end('SIGTERM')
  await answers('x', 'x', 'y')
  await cluster.front('y').end('SIGKILL')
  await answers('x', 'x')
  assert.deepEqual((await resolverOf('x').resolveNs(ZONE)).length, 2, 'it may come back')
  await Promise.all([cluster.front('y').start(), cluster.front('z').start()])
  for (const front of ['x', 'y']) await answers(front, 'x', 'y', 'z')
})

test('while no master answers, a front answers what it knew, after a restart too; another master is as good', async () => {
  await cluster.master.end('SIGKILL')
  await cluster.front('y').end('SIGKILL')
  await cluster.front('y').start()
  for (const front of ['x', 'y']) await answers(front, 'x', 'y', 'z')
  otherMaster.port = cluster.master.port
  await otherMaster.start()
  await cluster.front('z').end('SIGTERM')
  for (const front of ['x', 'y']) await answers(front, 'x', 'y')
})
