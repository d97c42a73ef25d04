import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Phase } from '../model/instance.ts'
import { volumeId } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'

/** An instance in the middle of a transition. */
type World = {
  readonly environment: InstanceEnvironment
  readonly instance: Instance
  /** Requests that wait, or are served. */
  readonly requests: ReturnType<typeof hold>[]
  /** Calls of people and of the node. */
  readonly calls: Promise<unknown>[]
  /** Since when nobody had used it before the transition. */
  readonly idleSince: number
}

const TASK: TaskDefinition = aTask({
  sleep: { ...aTask().sleep, freezeAfter: duration('1m'), suspendAfter: duration('2m') },
})
const GONE = new ShadowError('shutting-down', 'it takes no more requests')
const FAILURE = new ShadowError('runtime-unreachable', 'Docker does not answer')

/** Notes a call whose result is looked at later. */
function call<T>(calls: Promise<T>[], one: Promise<T>): void {
  one.catch(() => undefined)
  calls.push(one)
}

/** What comes while another transition is under way. */
const ARRIVALS = {
  request: ({ instance, requests }: World) => call(requests, hold(instance)),
  'freeze by hand': ({ instance, calls }: World) => call(calls, instance.freeze()),
  'suspend by hand': ({ instance, calls }: World) => call(calls, instance.freeze('suspended')),
  'sleep by hand': ({ instance, calls }: World) => call(calls, instance.sleep('asked')),
  drain: ({ instance, calls }: World) => call(calls, instance.sleep('drained')),
  'shortage, to swap': ({ instance, calls, idleSince }: World) =>
    call(calls, instance.stepDown('suspended', idleSince)),
  'shortage, to sleep': ({ instance, calls, idleSince }: World) => call(calls, instance.stepDown('asleep', idleSince)),
  'lost lease': ({ environment }: World) => environment.leases.lose(volumeId('blog')),
  death: ({ environment: { runtime } }: World) => {
    for (const container of runtime.running()) runtime.end(container, { exitCode: 137, outOfMemory: true })
  },
  'new release': ({ instance }: World) => instance.define({ ...TASK, revision: 2 }),
  removal: ({ instance, calls }: World) => call(calls, instance.close(GONE, 'removed', { sleep: true })),
  shutdown: ({ instance, calls }: World) => call(calls, instance.close(GONE, 'shutdown', { sleep: false })),
}
type Arrival = keyof typeof ARRIVALS

/** The call of the runtime in which a transition is held up; `thaw`: for a request; `stop`: a frozen instance is put to sleep. */
type UnderWay = 'freeze' | 'swapOut' | 'thaw' | 'stop'

/** The phase in the end: where the call that is held up succeeds, and where it fails. */
const ENDS: Record<UnderWay, Record<Arrival, readonly [Phase, Phase]>> = {
  freeze: {
    request: ['awake', 'awake'],
    'freeze by hand': ['frozen', 'frozen'], // the second one is tried where the first one has failed
    'suspend by hand': ['suspended', 'suspended'],
    'sleep by hand': ['asleep', 'asleep'],
    'shortage, to swap': ['suspended', 'awake'], // it is tried again later where it has failed
    'shortage, to sleep': ['asleep', 'awake'],
    drain: ['asleep', 'asleep'],
    'lost lease': ['asleep', 'asleep'],
    death: ['crashed', 'crashed'],
    'new release': ['asleep', 'asleep'],
    removal: ['asleep', 'asleep'],
    shutdown: ['frozen', 'awake'],
  },
  swapOut: {
    request: ['awake', 'awake'],
    'freeze by hand': ['suspended', 'frozen'],
    'suspend by hand': ['suspended', 'suspended'],
    'sleep by hand': ['asleep', 'asleep'],
    'shortage, to swap': ['suspended', 'suspended'],
    'shortage, to sleep': ['asleep', 'asleep'],
    drain: ['asleep', 'asleep'],
    'lost lease': ['asleep', 'asleep'],
    death: ['crashed', 'crashed'],
    'new release': ['asleep', 'asleep'],
    removal: ['asleep', 'asleep'],
    shutdown: ['suspended', 'frozen'],
  },
  thaw: {
    request: ['awake', 'frozen'],
    'freeze by hand': ['awake', 'frozen'],
    'suspend by hand': ['awake', 'suspended'],
    'sleep by hand': ['awake', 'asleep'], // it sleeps, and is woken for the request
    'shortage, to swap': ['awake', 'frozen'],
    'shortage, to sleep': ['awake', 'frozen'],
    drain: ['awake', 'frozen'], // the request calls the sleep off
    'lost lease': ['awake', 'awake'],
    death: ['awake', 'awake'],
    'new release': ['awake', 'asleep'],
    removal: ['asleep', 'asleep'],
    shutdown: ['awake', 'frozen'],
  },
  stop: {
    request: ['awake', 'awake'],
    'freeze by hand': ['asleep', 'stuck'],
    'suspend by hand': ['asleep', 'stuck'],
    'sleep by hand': ['asleep', 'asleep'],
    'shortage, to swap': ['asleep', 'stuck'],
    'shortage, to sleep': ['asleep', 'stuck'],
    drain: ['asleep', 'asleep'],
    'lost lease': ['asleep', 'stuck'],
    death: ['asleep', 'stuck'],
    'new release': ['asleep', 'stuck'],
    removal: ['asleep', 'asleep'],
    shutdown: ['asleep', 'stuck'],
  },
}

/** An instance of whose transition the call has been made, and is held up. */
async function underWay(verb: UnderWay, excludes: boolean): Promise<World & { gate: ReturnType<typeof gateOf> }> {
  const environment = new InstanceEnvironment({ excludes })
  const { clock, runtime } = environment
  const instance = environment.anInstance(TASK)
  release(await hold(instance))
  const world: World = { environment, instance, requests: [], calls: [], idleSince: clock.now() }
  const freeze = verb === 'freeze' ? gateOf(environment, verb) : undefined
  await clock.advance(60_000)
  assert.equal(instance.phase, 'frozen')
  const gate = freeze ?? gateOf(environment, verb)
  if (verb === 'swapOut') await clock.advance(60_000)
  else if (verb === 'thaw') call(world.requests, hold(instance))
  else if (verb === 'stop') call(world.calls, instance.sleep('asked'))
  await settled()
  assert.equal(runtime.count(verb), 1)
  return { ...world, gate }
}

const gateOf = ({ runtime }: InstanceEnvironment, verb: UnderWay) => runtime.gate(verb)

/** How each of them has ended: none may wait any more. */
async function outcomes<T>(promises: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  const ended: PromiseSettledResult<T>[] = []
  promises.forEach((promise, at) => {
    promise.then(
      value => {
        ended[at] = { status: 'fulfilled', value }
      },
      (reason: unknown) => {
        ended[at] = { status: 'rejected', reason }
      },
    )
  })
  await settled()
  assert.equal(Object.keys(ended).length, promises.length, 'one of them waits for ever')
  return ended
}

/** The kernel's state is that of the phase, and what is at rest has left nothing. */
function agrees({ environment, instance }: World): void {
  const { runtime, volumes } = environment
  assert.deepEqual(volumes.wrongs, [])
  const running = runtime.running().length
  if (instance.phase === 'awake') assert.deepEqual([running, runtime.frozen.size], [1, 0])
  else if (instance.phase === 'frozen' || instance.phase === 'suspended')
    assert.deepEqual([running, runtime.frozen.size], [1, 1])
  else if (instance.phase !== 'stuck') environment.nothingLeft()
}

const VERBS = ['freeze', 'swapOut', 'thaw', 'stop'] as const
const arrivals = Object.keys(ARRIVALS) as Arrival[]

for (const verb of VERBS)
  describe(`while the runtime is in ${verb}`, () => {
    const cases = arrivals.flatMap(arrival =>
      ([true, false] as const).map(succeeds => {
        const [good, bad] = ENDS[verb][arrival]
        return { arrival, succeeds, call: succeeds ? 'succeeds' : 'fails', ends: succeeds ? good : bad }
      }),
    )
    test.each(cases)('a $arrival comes, and the call $call: it ends $ends', async ({ arrival, succeeds, ends }) => {
      const world = await underWay(verb, arrival !== 'lost lease')
      const { instance, environment, gate, requests, calls } = world
      ARRIVALS[arrival](world)
      await settled()
      if (succeeds) gate.open()
      else gate.fail(FAILURE)
      const served = await outcomes(requests)
      assert.equal(instance.phase, ends)
      agrees(world)
      for (const one of served) {
        // The node may fail to thaw it, and an app that is being removed takes none. No other request is lost.
        if (one.status === 'fulfilled') release(one.value)
        else
          assert.ok(isFailure(one.reason, arrival === 'removal' ? 'shutting-down' : 'runtime-unreachable') || !succeeds)
        assert.equal(one.status, (ends === 'awake' ? 'fulfilled' : 'rejected') satisfies typeof one.status)
      }
      for (const one of await outcomes(calls))
        if (one.status === 'rejected') assert.ok(!succeeds && isFailure(one.reason, 'app-stuck'), String(one.reason))

      if (arrival === 'removal' || arrival === 'shutdown') return
      // Whatever has met, it serves, and then sleeps when its time has come.
      await environment.clock.advance(10_000)
      release(await hold(instance))
      assert.equal(instance.phase, 'awake')
      await environment.clock.advance(300_000)
      assert.equal(instance.phase, 'asleep')
      agrees(world)
    })
  })

test('a suspension by hand joins the one that is under way, and is told how it ends', async () => {
  const { instance, gate, environment } = await underWay('swapOut', true)
  const joined = instance.freeze('suspended')
  await settled()
  gate.open()
  await joined
  assert.deepEqual([instance.phase, environment.runtime.count('swapOut')], ['suspended', 1])
})

test('a suspension by hand fails where the one that is under way fails for want of swap', async () => {
  const { instance, gate, environment } = await underWay('swapOut', true)
  environment.runtime.hasSwap = false
  const joined = assert.rejects(instance.freeze('suspended'), error => isFailure(error, 'no-swap'))
  await settled()
  gate.open()
  await joined
  assert.equal(instance.phase, 'frozen')
})

test('one whose memory is still being moved when it is frozen the next time is suspended after that, and sleeps in time', async () => {
  const { instance, gate, environment } = await underWay('swapOut', true)
  const { clock, runtime } = environment
  release(await hold(instance))
  await clock.advance(120_000)
  assert.deepEqual([instance.phase, runtime.count('swapOut')], ['frozen', 1])
  gate.open()
  await settled()
  assert.deepEqual([instance.phase, runtime.count('swapOut')], ['suspended', 2])
  await clock.advance(180_000)
  assert.equal(instance.phase, 'asleep')
})

test('a run that has ended while the runtime froze it is not reported as one that could not be frozen', async () => {
  const world = await underWay('freeze', true)
  const { environment, gate } = world
  ARRIVALS.death(world)
  await settled()
  gate.fail(FAILURE)
  await settled()
  assert.doesNotMatch(environment.journal.join('\n'), /not frozen/)
})
