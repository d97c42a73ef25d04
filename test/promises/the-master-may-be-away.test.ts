import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { describe, test } from 'vitest'
import { Apart } from '../tools/apart.ts'
import { isCode, register, until } from '../tools/shadow.ts'

/** Makes an awake app and an asleep app. Both have been used and have data. */
async function used(apart: Apart): Promise<void> {
  for (const app of ['awake', 'asleep']) {
    await register(apart.admin, app, { volume: { size: '16MiB' }, sleep: { idleAfter: '1h' } })
    assert.equal((await apart.ask(app, '/files/note', { method: 'PUT', body: app })).status, 200)
  }
  await apart.admin.call('sleepApp', { params: { app: 'asleep' } })
}

const note = async (apart: Apart, app: string): Promise<string> => (await apart.ask(app, '/files/note')).text

describe('promise 5, apps are served while the master or its storage is away:', () => {
  test('with the master stopped the awake app serves on, and the one asleep is woken; when it is back, it is heard again', async () => {
    await using apart = await Apart.start()
    await used(apart)
    const { boot } = (await apart.ask('awake')).json
    await apart.stopMaster()

    assert.deepEqual((await apart.ask('awake')).json.boot, boot)
    assert.equal(await note(apart, 'asleep'), 'asleep')
    const { status, headers } = await apart.ask('never-seen')
    assert.deepEqual([status, headers['x-shadow-error']], [503, 'master-unreachable'])

    await apart.startMaster()
    await apart.admin.call('updateApp', { params: { app: 'awake' }, body: { env: { RELEASE: '2' } } })
    await apart.pass(10_000)
    await until(async () => (await apart.ask('awake', '/env')).json.RELEASE === '2' || undefined)
  })

  test('a minute without the master harms no app that is awake, and what nobody uses still goes to sleep', async () => {
    await using apart = await Apart.start()
    await used(apart)
    await register(apart.admin, 'idle', { sleep: { idleAfter: '30s' } })
    await apart.ask('idle')
    const { boot } = (await apart.ask('awake')).json
    await apart.stopMaster()
    await apart.pass(60_000)
    assert.deepEqual((await apart.ask('awake')).json.boot, boot)
    await until(() =>
      apart
        .node('a')
        .instances()
        .find(({ app, phase }) => app === 'idle' && phase === 'asleep'),
    )
  })

  test('a front and a node that start anew while the master is away serve what they knew', async () => {
    await using apart = await Apart.start()
    await used(apart)
    const { boot } = (await apart.ask('awake')).json
    await apart.stopMaster()
    await apart.stopFront()
    await apart.stopNode('a')
    await apart.startNode('a')
    await apart.startFront()
    assert.deepEqual((await apart.ask('awake')).json.boot, boot)
    assert.equal(await note(apart, 'asleep'), 'asleep')
  })

  test('with the storage gone apps are served as well, the master says what is missing, and nothing is taken for removed', async () => {
    await using apart = await Apart.start()
    await used(apart)
    const { boot } = (await apart.ask('awake')).json
    const store = `${apart.data}/master/store`
    await rename(store, `${store}-away`)
    await apart.pass(60_000)
    assert.deepEqual((await apart.ask('awake')).json.boot, boot)
    assert.equal(await note(apart, 'asleep'), 'asleep')
    await assert.rejects(register(apart.admin, 'new'), isCode('storage-unreachable'))
    assert.equal((await apart.ask('never-seen')).headers['x-shadow-error'], 'storage-unreachable')

    await rename(`${store}-away`, store)
    await register(apart.admin, 'new')
    await apart.pass(5_000)
    await until(async () => (await apart.ask('new')).status === 200 || undefined)
    assert.deepEqual((await apart.ask('awake')).json.boot, boot)
  })
})
