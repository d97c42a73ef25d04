import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import { ShadowError } from '../lib/errors.ts'
import { Refusal, UpstreamError } from '../lib/http/next-hop.ts'
import { Gauges, gaugesMemory } from '../lib/shared/gauges.ts'
import type { Held } from '../model/instance.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import { HandClock } from '../testing/clock.ts'
import { type Delivery, deliver, RETRY_AFTER_MS } from './delivery.ts'

const lost = (stage: 'connect' | 'head'): UpstreamError =>
  UpstreamError.lost('127.0.0.1:1', stage, stage === 'head', new Error('gone'))
const badAnswer = UpstreamError.refused('127.0.0.1:1', 'head', 'two lengths')
const refusal = (sent: boolean): Refusal => new Refusal({ status: 503, headers: {}, body: '{}', sent })

type Script = {
  /** The error of each attempt; undefined: the attempt is served. Attempts after the last one listed are served. */
  readonly attempts?: readonly (unknown | undefined)[]
  readonly holdFails?: unknown
  readonly isHop?: boolean
  readonly goesElsewhere?: boolean
  readonly comesBack?: boolean
  readonly ended?: Error
  readonly refuses?: Error
  readonly isKnown?: boolean
  readonly isSeen?: boolean
}

/** A delivery that follows a script, and the steps that it took. */
function aDelivery(script: Script) {
  const clock = new HandClock()
  const did: string[] = []
  const left = [...(script.attempts ?? [])]
  const gauge = new Gauges(gaugesMemory({ threads: 1 }), 0).of('blog')
  const places = new ConcurrencyLimit(gauge, undefined, () => new ShadowError('queue-full', 'full'), clock)
  places.most = 1
  let holds = 0
  const held = (): Held => {
    holds += 1
    return {
      address: '127.0.0.1:1',
      headers: {},
      isHop: script.isHop ?? false,
      refused: async () => {
        did.push('asked whether a new hold makes sense')
        if (script.refuses) throw script.refuses
      },
      alive: async () => {
        did.push('asked whether it runs on')
        if (script.ended) throw script.ended
      },
      badAnswer: fault => void did.push(`noted: ${fault}`),
      [Symbol.dispose]: () => {
        holds -= 1
      },
    }
  }
  const delivery: Delivery<string> = {
    places,
    cancellation: new AbortController(),
    clock,
    mayBeSeen: script.isSeen ?? false,
    known: () => (script.isKnown === false ? undefined : 'a'),
    choose: async () => 'b',
    hold: () => {
      if (script.holdFails) throw script.holdFails
      return held()
    },
    forward: async target => {
      did.push(`forwarded to ${target}`)
      const error = left.shift()
      if (error !== undefined) throw error
    },
    mayGoElsewhere: () => script.goesElsewhere ?? false,
    mayComeBack: () => script.comesBack ?? false,
    errorOf: ({ error }) => error,
    fail: async error => {
      throw error
    },
  }
  assert(places.enter())
  const hasLeft = (): boolean => places.enter() && holds === 0
  return { delivery, did, clock, hasLeft }
}

const FORWARDED = 'forwarded to b'

for (const [what, script, expected, failure] of [
  ['a request that is served is forwarded once', {}, ['forwarded to a']],
  ['where no target is known, one is chosen', { isKnown: false }, [FORWARDED]],
  [
    'a request whose connection the app refused is repeated',
    { attempts: [lost('connect')] },
    ['forwarded to a', 'asked whether a new hold makes sense', FORWARDED],
  ],
  [
    'it is repeated until it was forwarded three times',
    { attempts: Array(9).fill(lost('connect')) },
    [
      'forwarded to a',
      'asked whether a new hold makes sense',
      FORWARDED,
      'asked whether a new hold makes sense',
      FORWARDED,
    ],
    /takes no connection/,
  ],
  [
    'an app that runs and takes no connection ends it',
    { attempts: [lost('connect')], refuses: new Error('runs, and takes none') },
    ['forwarded to a', 'asked whether a new hold makes sense'],
    /runs, and takes none/,
  ],
  [
    'a request that the app may have seen is never repeated',
    { attempts: [lost('head')], goesElsewhere: true, comesBack: true },
    ['forwarded to a', 'asked whether it runs on'],
    /without an answer/,
  ],
  [
    'nor where its volume was taken from the app that has seen it',
    {
      attempts: [new ShadowError('volume-elsewhere', 'n2 has it')],
      isSeen: true,
      goesElsewhere: true,
      comesBack: true,
    },
    ['forwarded to a'],
    /n2 has it/,
  ],
  [
    'the end of an app that ended with the request is the error',
    { attempts: [lost('head')], ended: new ShadowError('app-crashed', 'exited with 137') },
    ['forwarded to a', 'asked whether it runs on'],
    /exited with 137/,
  ],
  [
    'so is an end at the last attempt',
    { attempts: [lost('connect'), lost('connect'), lost('head')], ended: new ShadowError('app-crashed', 'exited') },
    [
      'forwarded to a',
      'asked whether a new hold makes sense',
      FORWARDED,
      'asked whether a new hold makes sense',
      FORWARDED,
      'asked whether it runs on',
    ],
    /exited/,
  ],
  [
    'an answer that was refused is noted and not asked for again, whether or not the app runs on',
    { attempts: [badAnswer], ended: new Error('not asked') },
    ['forwarded to a', 'noted: 127.0.0.1:1 answered with two lengths'],
    /two lengths/,
  ],
  [
    'a node that takes no connection is not asked; another node takes the request',
    { attempts: [lost('connect')], isHop: true, goesElsewhere: true },
    ['forwarded to a', FORWARDED],
  ],
  ['without another node that is the error', { attempts: [lost('connect')], isHop: true }, ['forwarded to a'], /takes/],
  [
    'a node that refused before it had the body is left for another',
    { attempts: [refusal(false)], isHop: true, goesElsewhere: true },
    ['forwarded to a', FORWARDED],
  ],
  [
    'a node that refused after it had the body is not',
    { attempts: [refusal(true)], isHop: true, goesElsewhere: true, comesBack: true },
    ['forwarded to a'],
    /refused with 503/,
  ],
] as const satisfies readonly (readonly [string, Script, readonly string[], RegExp?])[]) {
  test(`${what}; hold and place are given back`, async () => {
    const { delivery, did, hasLeft } = aDelivery(script)
    if (failure === undefined) await deliver(delivery)
    else await assert.rejects(deliver(delivery), failure)
    assert.deepEqual(did, expected)
    assert(hasLeft())
  })
}

test('a hold that throws at once gives the place back', () => {
  const { delivery, hasLeft } = aDelivery({ holdFails: new ShadowError('app-asleep', 'asleep') })
  assert.throws(() => void deliver(delivery), /asleep/)
  assert(hasLeft())
})

test('a request waits for a node that may come back, each time with all its attempts, and no longer than a restart takes', async () => {
  const { delivery, did, clock, hasLeft } = aDelivery({
    attempts: Array(1_000).fill(lost('connect')),
    isHop: true,
    comesBack: true,
  })
  const served = deliver(delivery).then(
    () => 'served',
    (error: unknown) => error,
  )
  for (let ms = 0; ms < NODE_BACK_WITHIN - RETRY_AFTER_MS; ms += RETRY_AFTER_MS) await clock.advance(RETRY_AFTER_MS)
  assert.equal(await Promise.race([served, Promise.resolve('waits')]), 'waits')
  const before = did.length
  await clock.advance(RETRY_AFTER_MS)
  assert.match(String(await served), /takes no connection/)
  assert(did.length <= before + 1)
  assert(hasLeft())
})

test('a client that leaves while its request waits ends the wait', async () => {
  const { delivery, clock, hasLeft } = aDelivery({
    attempts: Array(9).fill(lost('connect')),
    isHop: true,
    comesBack: true,
  })
  const served = deliver(delivery).catch((error: unknown) => error)
  await clock.advance(0)
  ;(delivery.cancellation as AbortController).abort(new Error('left'))
  assert.match(String(await served), /left/)
  assert(hasLeft())
})

test('after a wait a request has all its attempts again', async () => {
  const { delivery, did, clock } = aDelivery({
    attempts: Array(4).fill(lost('connect')),
    isHop: true,
    goesElsewhere: true,
    comesBack: true,
  })
  const served = deliver(delivery)
  await clock.advance(RETRY_AFTER_MS - 1)
  assert.equal(did.length, 3)
  await clock.advance(1)
  await served
  assert.equal(did.length, 5)
})
