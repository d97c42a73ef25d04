import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import type { Phase } from '../model/instance.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import type { NotedEvent } from './history/recorder.ts'

let environment: InstanceEnvironment
let noted: NotedEvent[]
let phases: Phase[]
beforeEach(() => {
  environment = new InstanceEnvironment()
  noted = []
  phases = []
  environment.history = {
    note: (_, event) => void noted.push(event),
    phase: (_, phase) => void phases.push(phase),
  }
})

test('a wake is told of with its cause, its revision, and the start of each of its steps', async () => {
  const instance = environment.anInstance(aTask())
  release(await hold(instance))
  const [wake] = noted
  assert.deepEqual([noted.length, wake?.kind, wake?.outcome, wake?.revision], [1, 'wake', 'ok', aTask().revision])
  assert.match(wake?.by ?? '', /\S/)
  const steps = new Map(wake?.steps?.map(one => [one.step, one]))
  for (const step of ['lease', 'attach', 'mount', 'image', 'create', 'start', 'ready'] as const)
    assert.ok(steps.has(step), step)
  const startOf = (step: 'create' | 'start' | 'ready' | 'mount') => steps.get(step)?.startMs ?? -1
  assert.ok(startOf('start') >= startOf('create') && startOf('start') >= startOf('mount'))
  assert.ok(startOf('ready') >= startOf('start') + (steps.get('start')?.ms ?? 0) - 0.2)
  assert.deepEqual(phases, ['waking', 'awake'])
})

test('a sleep is told of with its reason, and a wake that fails with its problem and how far it came', async () => {
  const instance = environment.anInstance(aTask())
  release(await hold(instance))
  await instance.sleep('asked')
  assert.deepEqual([noted[1]?.kind, noted[1]?.by, noted[1]?.outcome], ['sleep', 'asked', 'ok'])
  environment.becomeReady = async () => {
    throw new Error('never ready')
  }
  await hold(instance).catch(() => undefined)
  await settled()
  assert.equal(noted.length, 3, 'the end of a failed wake is no sleep')
  assert.deepEqual([noted[2]?.kind, noted[2]?.outcome, noted[2]?.code], ['wake', 'failed', 'internal'])
  assert.ok(
    noted[2]?.steps?.some(({ step }) => step === 'ready'),
    'the step that failed is there',
  )
})

test('a crash is told of once, with its exit code', async () => {
  const instance = environment.anInstance(aTask())
  release(await hold(instance))
  environment.runtime.end(environment.runtime.running()[0]!, { exitCode: 3, outOfMemory: false })
  await settled()
  const [, crash, ...rest] = noted
  assert.deepEqual([crash?.kind, crash?.code, rest], ['crash', 'app-crashed', []])
  assert.match(crash?.detail ?? '', /exit code 3/)
})

test('a release that takes the place of an earlier one is told of, with the steps of its start', async () => {
  const { instance, ready } = await environment.aSwitch()
  ready.resolve()
  await instance.settled()
  await settled()
  const last = noted.find(({ revision }) => revision === 2)
  assert.deepEqual([last?.kind, last?.by, last?.outcome], ['wake', 'release 2, in place of release 1', 'ok'])
  assert.ok(last?.steps?.some(({ step }) => step === 'start'))
  await instance.sleep('asked')
  assert.deepEqual([noted.at(-1)?.kind, noted.at(-1)?.revision], ['sleep', 2])
})

test('a release that is not taken is a problem, with the earlier one that serves on', async () => {
  const { instance, ready } = await environment.aSwitch()

  ready.reject(new Error('no'))
  await instance.settled()
  await settled()
  assert.ok(
    noted.slice(1).every(({ kind, revision }) => kind === 'problem' && revision === 2),
    JSON.stringify(noted),
  )
  assert.ok(noted.length >= 2)
})
