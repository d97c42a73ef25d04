import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, test } from 'vitest'
import type { InstanceView } from '../../src/model/instance.ts'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

const deploy = (app: string, body: Record<string, unknown>) => shadow.admin.call('updateApp', { params: { app }, body })
const runs =
  (revision: number) =>
  (view: InstanceView): boolean =>
    view.phase === 'awake' && view.revision === revision

/** Clients that ask again and again, until the action is done: what they were answered, in the order of each. */
async function underLoad(app: string, action: () => Promise<void>): Promise<string[][]> {
  let done = false
  const clients = Array.from({ length: 6 }, async () => {
    const seen: string[] = []
    while (!done) {
      const { status, json, text } = await shadow.ask(app, '/env')
      assert.equal(status, 200, text)
      seen.push(json.RELEASE)
    }
    return seen
  })
  await action().finally(() => {
    done = true
  })
  return Promise.all(clients)
}

test('an app without a volume: no request fails or waits, a download and a WebSocket finish, and a bad release leaves the old one serving', async () => {
  await shadow.register('web', { env: { RELEASE: '1' }, sleep: { drain: '10m' } })
  await shadow.ask('web')
  const download = await shadow.begin('web', '/download').response
  const socket = await shadow.webSocket('web')
  const { container } = await shadow.instance('web')
  const seen = await underLoad('web', async () => {
    for (const release of [2, 3]) {
      await deploy('web', { env: { RELEASE: `${release}` } })
      await shadow.until('web', runs(release))
    }
    await deploy('web', { env: { RELEASE: '4', EXIT_AT_BOOT: '3' } })
    await shadow.until('web', ({ rejected }) => rejected?.revision === 4)
  })
  for (const one of seen) assert.deepEqual(one, one.toSorted(), 'nobody is answered by an older release again')
  assert.deepEqual(new Set(seen.flatMap(one => one.at(-1) ?? [])), new Set(['3']))

  const { revision, rejected, formers } = await shadow.instance('web')
  assert.deepEqual([revision, formers?.map(former => [former.revision, former.holds])], [3, [[1, 2]]])
  assert.match(rejected?.problem.detail ?? '', /exit code 3[\s\S]*cannot go on/)
  socket.send('still here')
  assert.equal(String((await once(socket, 'message'))[0]), 'still here')
  get(`http://${container?.address}/download/end`)
  assert.equal(await text(download), 'begin\nend\n')
  socket.close()
  await shadow.until('web', view => view.formers === undefined)
  assert.equal((await shadow.containers('web')).length, 1)
})

test('an app with a volume: requests are held while it is switched, and none fails; a bad release gives way to the old one', async () => {
  await shadow.register('data', { env: { RELEASE: '1' }, volume: { size: '16MiB' } })
  await shadow.ask('data', '/files/a', { method: 'PUT', body: 'kept' })
  const download = await shadow.begin('data', '/download').response
  const { container } = await shadow.instance('data')
  const seen = await underLoad('data', async () => {
    await deploy('data', { env: { RELEASE: '2' } })
    await shadow.until('data', 'stopping')
    get(`http://${container?.address}/download/end`)
    assert.equal(await text(download), 'begin\nend\n')
    await shadow.until('data', runs(2))
    await deploy('data', { env: { RELEASE: '3', EXIT_AT_BOOT: '3' } })
    await shadow.until('data', view => view.rejected?.revision === 3 && runs(2)(view))
  })
  for (const one of seen) assert.deepEqual(one, one.toSorted())
  assert.equal((await shadow.ask('data', '/files/a')).text, 'kept')
  assert.equal((await shadow.containers('data')).length, 1)
})

test('a node that ends in the middle of a switch leaves what serves, and the next start goes on with the switch', async () => {
  await shadow.register('web2', { env: { RELEASE: '1' } })
  await shadow.ask('web2')
  await deploy('web2', { env: { RELEASE: '2', LISTEN_AFTER_MS: '600000' }, startWithin: '1h' })
  await shadow.until('web2', ({ rollout }) => rollout?.stages.at(-1)?.stage === 'starting')
  await shadow.stop()
  assert.equal((await shadow.containers('web2')).length, 1)
  await shadow.startAgain()
  assert.equal((await shadow.ask('web2', '/env')).json.RELEASE, '1')
  await deploy('web2', { env: { RELEASE: '3', LISTEN_AFTER_MS: '0' } })
  await shadow.until('web2', runs(3))
  assert.equal((await shadow.ask('web2', '/env')).json.RELEASE, '3')
  await shadow.eventually(async () => (await shadow.containers('web2')).length === 1)
})
