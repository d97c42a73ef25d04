import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import { appName, nodeName } from '../model/names.ts'
import type { Cordon } from '../model/node-state.ts'
import type { Session } from '../model/session.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import { NodeCordon } from './node-cordon.ts'

let environment: InstanceEnvironment
let instances: Instance[]
let cordon: NodeCordon
let sessions: Map<string, Session>
beforeEach(() => {
  environment = new InstanceEnvironment()
  instances = []
  sessions = new Map()
  cordon = new NodeCordon({
    node: nodeName('n1'),
    instances: () => instances,
    isLocal: ({ volume }) => volume !== undefined,
    sessionOf: app => sessions.get(app),
    clock: environment.clock,
    log: noLog,
  })
})

const since = '2026-01-01T00:00:00.000Z'
const drain = (volumes: 'keep' | 'stop' = 'keep'): Cordon => ({ since, drain: { until: since, volumes } })
const anInstance = (name: string, volume = false): Instance => {
  const task = aTask({ app: appName(name), ...(!volume && { volume: undefined }) })
  const instance = environment.anInstance(task, { mustWake: one => cordon.mustWake(one) })
  instances.push(instance)
  return instance
}
const aSession = (name: string, whenIdle: Session['whenIdle']): Instance => {
  sessions.set(name, { template: appName('editor'), whenIdle, visitors: 'all', tokens: [] })
  return anInstance(name)
}
const phases = () => instances.map(({ phase }) => phase)
const refuses = (action: () => unknown) =>
  assert.rejects(
    async () => action(),
    error => isFailure(error, 'node-cordoned'),
  )

describe('a node', () => {
  test('that is cordoned refuses apps that it does not have, and wakes those that it has', async () => {
    cordon.take({ cordon: { since } })
    await refuses(() => cordon.mustTakeNew(appName('new')))
    release(await hold(anInstance('old')))
    assert.deepEqual(phases(), ['awake'])
    cordon.take({ cordon: null })
    cordon.mustTakeNew(appName('new'))
  })

  test('that drains keeps sessions until they end, and those that have no other node wake again', async () => {
    release(await hold(aSession('ends', 'end')))
    const sleeps = aSession('sleeps', 'sleep')
    release(await hold(sleeps))
    cordon.take({ cordon: drain(), drainWithinMs: 600_000 })
    await settled()
    assert.deepEqual(phases(), ['awake', 'asleep'])
    const held = await hold(sleeps)
    assert.equal(cordon.toLeave, 2)
    await environment.clock.advance(299_999)
    assert.equal(instances[0]!.phase, 'awake')
    await environment.clock.advance(1)
    assert.deepEqual([instances[0]!.phase, instances[0]!.view().stoppedBy], ['asleep', 'idle'])
    await refuses(() => hold(instances[0]!))
    release(held)
    await environment.clock.advance(300_000)
    await refuses(() => hold(sleeps)) // its time is over
    assert.equal(cordon.toLeave, 0)
  })

  test('that drains wakes no app, and puts idle ones to sleep at once', async () => {
    release(await hold(anInstance('idle')))
    anInstance('asleep')
    cordon.take({ cordon: drain(), drainWithinMs: 60_000 })
    assert.equal(cordon.toLeave, 1)
    await settled()
    assert.deepEqual(phases(), ['asleep', 'asleep'])
    assert.equal(instances[0]!.view().stoppedBy, 'drained')
    for (const instance of instances) await refuses(() => hold(instance))
    for (const instance of instances)
      await refuses(() => instance.wake({ says: 'a person who asked', cause: 'person' }, never))
    assert.deepEqual([phases(), cordon.toLeave], [['asleep', 'asleep'], 0])
  })

  test('that drains lets an app in use go on, serves it meanwhile, and puts it to sleep when nobody uses it any more', async () => {
    const busy = anInstance('busy')
    const held = await hold(busy)
    cordon.take({ cordon: drain(), drainWithinMs: 60_000 })
    await environment.clock.advance(30_000)
    release(await hold(busy))
    assert.deepEqual([phases(), cordon.toLeave], [['awake'], 1])
    release(held)
    await environment.clock.advance(1_000)
    assert.deepEqual([phases(), busy.view().stoppedBy, cordon.toLeave], [['asleep'], 'drained', 0])
  })

  test('that drains ends what is still in use at the deadline, and says so', async () => {
    const busy = anInstance('busy')
    let goneAway = 0
    const held = await hold(busy, { kind: 'websocket', goAway: () => void goneAway++ })
    cordon.take({ cordon: drain(), drainWithinMs: 60_000 })
    await environment.clock.advance(59_000)
    assert.deepEqual(phases(), ['awake'])
    await environment.clock.advance(1_000)
    assert.deepEqual([phases(), goneAway], [['stopping'], 0], 'as with any sleep, it has its own time to end')
    await environment.clock.advance(10_000)
    assert.deepEqual([phases(), goneAway, busy.view().stoppedBy], [['asleep'], 1, 'drain-deadline'])
    release(held)
  })

  test('that is told of an earlier deadline follows it', async () => {
    await hold(anInstance('busy'))
    cordon.take({ cordon: drain(), drainWithinMs: 600_000 })
    cordon.take({ cordon: drain(), drainWithinMs: 2_000 })
    await environment.clock.advance(3_000)
    assert.deepEqual(phases(), ['stopping'])
  })

  test('a request that comes while its app leaves is refused, so that another node serves it', async () => {
    const leaving = anInstance('leaving')
    release(await hold(leaving))
    const gate = environment.runtime.gate('stop')
    cordon.take({ cordon: drain(), drainWithinMs: 60_000 })
    await settled()
    assert.deepEqual(phases(), ['stopping'])
    const refused = refuses(() => hold(leaving))
    gate.open()
    await refused
    assert.deepEqual(phases(), ['asleep'])
  })

  test('that drains and keeps volumes serves apps with a volume on its disk on', async () => {
    const stays = anInstance('stays', true)
    release(await hold(stays))
    cordon.take({ cordon: drain('keep'), drainWithinMs: 0 })
    await environment.clock.advance(10_000)
    assert.deepEqual([phases(), cordon.toLeave], [['awake'], 0])
    await stays.sleep('asked')
    release(await hold(stays))
    assert.deepEqual(phases(), ['awake'])
  })

  test('that drains and stops volumes puts them to sleep too, until it is uncordoned', async () => {
    const stops = anInstance('stops', true)
    release(await hold(stops))
    cordon.take({ cordon: drain('stop'), drainWithinMs: 60_000 })
    await settled()
    assert.deepEqual(phases(), ['asleep'])
    await refuses(() => hold(stops))
    cordon.take({ cordon: null })
    release(await hold(stops))
    assert.deepEqual([phases(), cordon.toLeave], [['awake'], undefined])
    await stops.sleep('asked')
    assert.equal(environment.clock.waiting, 0)
  })
})
