import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterAll, beforeAll, test } from 'vitest'
import { readLines } from '../../src/lib/http/api/events.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

/** Deploys, waits as a deploy does, and returns what was told. */
async function deploy(
  app: string,
  body: Record<string, unknown>,
  wake = false,
): Promise<{ stages: string[]; outcome: string }> {
  const { task } = await shadow.admin.call('updateApp', { params: { app }, body })
  const query = { revision: task.revision, wake: wake ? ('true' as const) : ('false' as const) }
  const { body: lines } = await shadow.admin.raw('followRollout', {
    params: { app },
    query,
    signal: AbortSignal.timeout(60_000),
  })
  const told: { stage?: string; outcome?: string }[] = []
  for await (const line of readLines(lines)) if (line !== '') told.push(JSON.parse(line))
  return { stages: told.flatMap(({ stage }) => stage ?? []), outcome: told.at(-1)?.outcome ?? '' }
}

const cookieOf = (headers: NodeJS.Dict<string | string[]>): string =>
  String(headers['set-cookie'] ?? '').split(';', 1)[0] ?? ''

test('sessions stay on the release that they began with, and each release has an address while it runs', async () => {
  await shadow.register('app', {
    env: { RELEASE: '1' },
    deploy: { sessions: 'stay' },
    sleep: { idleAfter: '10s' },
  })
  const first = await shadow.ask('app', '/env')
  assert.match(String(first.headers['set-cookie']), /^shadow_release=1; Path=\/; HttpOnly; SameSite=Lax$/)
  const cookie = cookieOf(first.headers)
  const socket = await shadow.webSocket('app')
  const { stages, outcome } = await deploy('app', { env: { RELEASE: '2' } })
  assert.deepEqual([stages.slice(-2), outcome], [['ready', 'switched'], 'serves'])

  const seen = async (headers: Record<string, string> = {}, host = 'app'): Promise<string> => {
    const { status, json, headers: answered } = await shadow.ask(host, '/env', { headers })
    return `${status} ${json?.RELEASE ?? answered['x-shadow-error']} ${cookieOf(answered)}`
  }
  assert.equal(await seen({ cookie }), '200 1 ')
  assert.equal(await seen(), '200 2 shadow_release=2')
  assert.equal(await seen({ cookie: 'shadow_release=2' }), '200 2 ')
  assert.equal(await seen({}, 'r1--app.localhost'), '200 1 ')
  assert.equal(await seen({}, 'r2--app.localhost'), '200 2 ')
  assert.equal(await seen({}, 'r9--app.localhost'), '404 host-unknown ')
  assert.equal(await seen({}, 'r1--none.localhost'), '404 host-unknown ')
  const endpoint = await shadow.admin.call('getEndpoint', { params: { app: 'app' } })
  assert.deepEqual(
    [endpoint.url, endpoint.releases.map(({ host, state }) => `${host} ${state}`)],
    ['http://app.localhost', ['r2--app.localhost newest', 'r1--app.localhost former']],
  )

  socket.send('still here')
  assert.equal(String((await once(socket, 'message'))[0]), 'still here')
  socket.close()
  await once(socket, 'close')
  await shadow.until('app', ({ formers }) => formers?.[0]?.endsAt !== undefined)
  await shadow.pass(5_000)
  await shadow.ask('app')
  await shadow.pass(5_000)
  await shadow.until('app', ({ formers }) => formers === undefined)
  assert.equal(await seen({ cookie }), '200 2 shadow_release=2')
  assert.equal(await seen({}, 'r1--app.localhost'), '410 release-ended ')
  await shadow.sleep('app')
  assert.equal(await seen({}, 'r1--app.localhost'), '410 release-ended ')
  assert.equal((await shadow.instance('app')).phase, 'asleep')
})

test('a deploy of an app that sleeps wakes it only if it waits, and tells of one that does not get ready', async () => {
  await shadow.register('late', { env: { RELEASE: '1' } })
  assert.deepEqual(await deploy('late', { env: { RELEASE: '2' } }), { stages: [], outcome: 'asleep' })
  const waited = await deploy('late', { env: { RELEASE: '3' } }, true)
  assert.deepEqual([waited.stages, waited.outcome], [['starting', 'ready', 'switched'], 'serves'])
  const bad = await deploy('late', { env: { EXIT_AT_BOOT: '1' } })
  assert.deepEqual([bad.stages.at(-1), bad.outcome], ['rejected', 'rejected'])
  assert.equal((await shadow.ask('late', '/env')).json.RELEASE, '3')
})

test('no app takes the address of a release', async () => {
  await assert.rejects(shadow.register('r1--app'), isCode('bad-input', /belongs to a release/))
  await assert.rejects(
    shadow.admin.call('updateApp', { params: { app: 'app' }, body: { domains: ['r3--app.localhost'] } }),
    isCode('bad-input'),
  )
})
