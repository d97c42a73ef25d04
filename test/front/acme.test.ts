import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json, text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { type Log, noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { masterSettings } from '../../src/master/config.ts'
import { startMaster } from '../../src/master/main.ts'
import { nodeName } from '../../src/model/names.ts'
import { proxySettings } from '../../src/proxy/config.ts'
import { startProxy } from '../../src/proxy/main.ts'
import { LeapingClock } from '../../src/testing/clock.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { aNodeListener, anAnnouncement } from '../../src/testing/front.ts'
import { BINDING, hasPebble, pebble } from '../../src/testing/pebble.ts'
import { httpApp } from '../../src/testing/wire.ts'
import { Visitor } from '../tools/visitor.ts'

const VALID_FOR_SECONDS = 300
/** Shorter than the time after which a node that announces nothing counts as lost. */
const STEP_SECONDS = 5

type Answer = {
  readonly status: number | undefined
  readonly body: string
  readonly serial: string
  readonly names: string
}

/** Masters, a front and an authority, as real as can be: only the node is a fake. */
async function environment() {
  await using started = new AsyncDisposableStack()
  const clock = new LeapingClock()
  const events: string[] = []
  const note = (event: string, fields: Record<string, unknown> = {}): void =>
    void events.push(`${event} ${String(fields['certificate'])}`)
  const log: Log = { ...noLog, debug: note, info: note }
  const httpPort = await freePort()
  const authority = started.use(await pebble({ httpPort, validForSeconds: VALID_FOR_SECONDS }))
  const hook = started.use(await dnsHook(authority))
  const data = temporaryFolder('shadow-acme-')
  const settings = {
    SHADOW_DATA: `${data}/master`,
    SHADOW_MASTER_LISTEN: '127.0.0.1:0',
    SHADOW_ACME_DIRECTORY: authority.directory,
    SHADOW_ACME_CA: authority.caFile,
    SHADOW_ACME_EAB: `${BINDING.kid}:${BINDING.key}`,
    SHADOW_ACME_DNS_NAMES: '*.apps.test',
    SHADOW_ACME_DNS_HOOK: hook.url,
    SHADOW_ACME_DNS_HOOK_TOKEN: 'of-the-hook',
    SHADOW_ACME_DNS_WAIT: '1ms',
  }
  const master = started.use(await startMaster(readSettings(masterSettings, settings), { clock, log }))
  const admin = masterClient({ url: master.url, token: await master.token('admin'), withinMs: 30_000 })
  const node = masterClient({ url: master.url, token: await master.nodeToken(nodeName('n1')), withinMs: 30_000 })
  const app = started.use(await httpApp((_, response) => response.end('the app')))
  const { address } = started.use(await aNodeListener(app))
  const announce = () => node.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address }) })
  await announce()
  const front = started.use(
    await startProxy(
      readSettings(proxySettings, {
        SHADOW_MASTER: master.url,
        SHADOW_TOKEN: await master.token('proxy'),
        SHADOW_DATA: `${data}/front`,
        SHADOW_LISTEN: `127.0.0.1:${httpPort}`,
        SHADOW_TLS_LISTEN: '127.0.0.1:0',
        SHADOW_WORKERS: '2',
      }),
      { clock, log: noLog },
    ),
  )
  const root = await authority.root()
  const all = started.move()
  return {
    ...{ clock, events, hook, admin, announce },
    dns: authority.dns,
    httpPort,
    /** A request on a connection of its own, by a client that trusts the authority. */
    ask: (hostname: string): Promise<Answer> => ask(front.tls?.port ?? 0, hostname, root),
    /** The same by a client that tries again: on a machine with much load, an order may take longer than a handshake may wait. */
    async askAgain(hostname: string): Promise<Answer> {
      for (;;) {
        try {
          return await ask(front.tls?.port ?? 0, hostname, root)
        } catch (error) {
          if (!/unrecognized name/.test((error as Error).message)) throw error
        }
      }
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

function ask(port: number, hostname: string, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = { port, host: '127.0.0.1', servername: hostname, headers: { host: hostname }, ca, agent: false }
    request(asked)
      .on('response', response => {
        const shown = (response.socket as TLSSocket).getPeerCertificate()
        const { serialNumber: serial, subjectaltname: names = '' } = shown
        text(response).then(body => resolve({ status: response.statusCode, body, serial, names }), reject)
      })
      .on('error', reject)
      .end()
  })
}

/** The operator's side of dns-01: it changes the zone as the documented JSON says. */
async function dnsHook(authority: Awaited<ReturnType<typeof pebble>>) {
  const calls: { action: string; name: string; authorization: string | undefined }[] = []
  const server = createServer(async (incoming, response) => {
    const { action, name, value } = (await json(incoming)) as { action: string; name: string; value: string }
    calls.push({ action, name, authorization: incoming.headers.authorization })
    const host = `${name}.`
    await authority.dns(action === 'set' ? 'set-txt' : 'clear-txt', action === 'set' ? { host, value } : { host })
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dns`,
    [Symbol.asyncDispose]: () => new Promise<void>(resolve => void server.close(() => resolve())),
  }
}

/** Waits for something that real work brings about, however slow the machine is: the time of the test is the limit. */
async function holds(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 5))
}

const register = (admin: MasterClient, name: string, ...domains: string[]) =>
  admin.call('registerApp', { body: { name, image: 'x', domains } })

describe.skipIf(!hasPebble)('certificates by ACME', () => {
  let on: Awaited<ReturnType<typeof environment>>
  beforeAll(async () => {
    on = await environment()
  })
  afterAll(() => on[Symbol.asyncDispose]())

  test('the first client of a hostname gets its certificate within the handshake, and the app', async () => {
    await register(on.admin, 'blog', 'blog.acme.test')
    const answers = await Promise.all([1, 2, 3, 4].map(() => on.askAgain('blog.acme.test')))
    for (const { status, body, names } of answers)
      assert.deepEqual([status, body, names], [200, 'the app', 'DNS:blog.acme.test'])
    assert.equal(new Set(answers.map(({ serial }) => serial)).size, 1, 'one order for all of them')
  })

  test('a hostname that no app has gets no certificate', async () => {
    await assert.rejects(on.ask('nobody.acme.test'), /unrecognized name/)
  })

  test('an app that answers challenges of its own still gets them', async () => {
    const answer = await new Visitor(() => on.httpPort).ask(
      'blog.acme.test',
      '/.well-known/acme-challenge/of-the-app-itself-1',
    )
    assert.deepEqual([answer.status, answer.text], [200, 'the app'])
  })

  test('a wildcard is ordered by DNS through the hook, and serves every app below it', async () => {
    await register(on.admin, 'shop', 'shop.apps.test')
    await register(on.admin, 'wiki', 'wiki.apps.test')
    const [shop, wiki] = [await on.askAgain('shop.apps.test'), await on.ask('wiki.apps.test')]
    assert.deepEqual([shop.status, shop.names, wiki.serial], [200, 'DNS:*.apps.test', shop.serial])
    const record = { name: '_acme-challenge.apps.test', authorization: 'Bearer of-the-hook' }
    assert.deepEqual(on.hook.calls, [
      { action: 'set', ...record },
      { action: 'clear', ...record },
    ])
  })

  test('why no certificate came, such as a DNS record that leads elsewhere, is told in the words of the authority', async () => {
    await on.dns('add-a', { host: 'lost.acme.test.', addresses: ['127.0.0.2'] })
    await on.dns('set-servfail', { host: 'broken.acme.test.' })
    await register(on.admin, 'lost', 'lost.acme.test', 'broken.acme.test')
    for (const hostname of ['lost.acme.test', 'broken.acme.test'])
      await assert.rejects(on.ask(hostname), /unrecognized name/)
    const { items } = await on.admin.call('listDomains', { params: { app: 'lost' } })
    const [lost, broken] = items.map(({ order }) => order)
    assert.match(lost?.problem ?? '', /^the authority says: .*127\.0\.0\.2.*refused/i)
    assert.match(broken?.problem ?? '', /^the authority says: .*could not resolve URL .*broken\.acme\.test/)
    assert(Date.parse(lost?.nextAt ?? '') > Date.now())
  })

  test('a certificate is renewed when a third of its lifetime is left; no request fails, and no connection is cut', async () => {
    const first = await on.askAgain('blog.acme.test')
    const serials = new Set<string>()
    let isOver = false
    let requests = 0
    const load = Array.from({ length: 2 }, async () => {
      while (!isOver) {
        const { status, serial } = await on.ask('blog.acme.test')
        assert.equal(status, 200)
        serials.add(serial)
        requests += 1
      }
    })
    const loaded = Promise.all(load)
    const leap = async (): Promise<void> => {
      on.clock.leap(STEP_SECONDS * 1_000)
      await on.announce()
      const before = requests
      await Promise.race([loaded, holds(() => requests > before)])
    }
    on.events.length = 0
    const has = (event: string) => (): boolean => on.events.includes(`${event} blog.acme.test`)
    for (let at = 0; at < VALID_FOR_SECONDS / 2; at += STEP_SECONDS) await leap()
    assert.deepEqual(
      [[...serials], has('certificate is being ordered')()],
      [[first.serial], false],
      'not before its time',
    )
    for (let at = 0; at < VALID_FOR_SECONDS / 3 && !has('certificate is being ordered')(); at += STEP_SECONDS)
      await leap()
    await holds(has('certificate ordered'))
    // By then the front has asked for it.
    for (let at = 0; at < 20; at += STEP_SECONDS) await leap()
    await holds(() => serials.size === 2)
    isOver = true
    await loaded
    assert.equal(serials.size, 2, 'all are served the new one')
  })
})
