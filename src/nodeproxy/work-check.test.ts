import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { COMMANDS } from '../testing/exec-commands.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import { httpApp, until } from '../testing/wire.ts'

const MINUTE = 60_000

/** An instance that was used once, and whose idle time of five minutes begins. */
async function used(sleep: Partial<TaskDefinition['sleep']>, more: { port?: number; dryRun?: boolean } = {}) {
  const environment = new InstanceEnvironment()
  environment.runtime.ip = '127.0.0.1'
  const task = aTask({
    port: more.port ?? 8000,
    sleep: { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold', ...sleep },
  })
  const instance = environment.anInstance(task)
  release(await hold(instance))
  const { clock, runtime, journal } = environment
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms)
    await settled()
  }
  return { clock, runtime, journal, instance, pass }
}

for (const [status, phase, says] of [
  [204, 'asleep', /^$/],
  [200, 'asleep', /^$/],
  [503, 'awake', /its idle check says so: 503/],
  [409, 'awake', /its idle check says so: 409/],
  [404, 'awake', /its idle check failed \(404 Not Found\)/],
  [500, 'awake', /its idle check failed/],
] as const)
  test(`an idle check by HTTP that is answered with ${status} leaves the app ${phase}`, async () => {
    let asked = 0
    await using app = await httpApp((request, response) => {
      if (request.url === '/idle') asked += 1
      response.writeHead(status).end()
    })
    const { instance, pass } = await used({ idleCheck: { kind: 'http', path: '/idle' } }, { port: app.port })
    await pass(5 * MINUTE)
    await until(() => asked === 1 && (instance.phase === 'asleep' || instance.view().atWork !== undefined))
    assert.equal(instance.phase, phase)
    assert.match(instance.view().atWork?.why ?? '', says)
  })

for (const [what, name, phase, says] of [
  ['ends with 0', 'env', 'asleep', /^$/],
  ['ends with another code', 'both', 'awake', /its idle check says so: exit code 3, out/],
  ['cannot be run', 'missing', 'awake', /its idle check failed \(.*no-such-program.*\), and is tried again/],
] as const)
  test(`an idle check by a command that ${what} leaves the app ${phase}`, async () => {
    const { instance, pass } = await used({ idleCheck: { kind: 'command', command: COMMANDS[name] } })
    await pass(5 * MINUTE)
    await until(() => instance.phase === 'asleep' || instance.view().atWork !== undefined)
    assert.equal(instance.phase, phase)
    assert.match(instance.view().atWork?.why ?? '', says)
  })

test('an idle check by a command that does not end has failed, and is ended', async () => {
  const { runtime, instance, pass } = await used({ idleCheck: { kind: 'command', command: COMMANDS.deaf } })
  await pass(5 * MINUTE)
  const [command] = runtime.commandsIn({ id: instance.running?.container.id ?? '' })
  assert.equal(command?.isRunning, true)
  await pass(10_000)
  await until(() => instance.view().atWork !== undefined)
  assert.match(instance.view().atWork?.why ?? '', /its idle check failed \(it took longer than 10s\)/)
  assert.equal(command?.isRunning, false)
})

test('an app that uses more of its processors than it may when idle is at work', async () => {
  const { runtime, instance, pass } = await used({ cpu: 5 })
  runtime.usedCpuMs = 1_000
  await pass(5 * MINUTE)
  assert.match(instance.view().atWork?.why ?? '', /is being measured/)
  runtime.usedCpuMs += 1_500 // of 15 s
  await pass(15_000)
  assert.match(instance.view().atWork?.why ?? '', /it uses 10\.0 % of its processors, more than 5 %/)
  runtime.usedCpuMs += 600 // of 30 s
  await pass(30_000)
  assert.equal(instance.phase, 'asleep')
})

describe('a dry run', () => {
  test('records when the app would have slept and been woken, and how long, and does not put it to sleep', async () => {
    const { journal, instance, pass } = await used({ dryRun: true })
    await pass(5 * MINUTE)
    assert.equal(instance.phase, 'awake')
    await pass(55 * MINUTE)
    release(await hold(instance))
    const { drySleeps, sleepsAt } = instance.view()
    assert.deepEqual([drySleeps?.count, drySleeps?.why, drySleeps?.asleepMs], [1, 'idle', 55 * MINUTE])
    assert.notEqual(sleepsAt, null)
    assert.deepEqual(journal.slice(1), [
      'dry run: it would have gone to sleep now: idle',
      'dry run: it would have been woken now, after 55m asleep',
    ])
    await pass(5 * MINUTE)
    assert.equal(instance.view().drySleeps?.count, 2)
  })

  test('does not hold a person up, and leaves memory that another app needs', async () => {
    const { instance, pass } = await used({ dryRun: true })
    await pass(5 * MINUTE)
    assert.equal(instance.idleSince, undefined)
    await instance.sleep('asked')
    assert.equal(instance.phase, 'asleep')
  })
})
