import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import type { InstanceView, VolumeUse } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { instanceView } from '../testing/fake-node.ts'
import { type Changed, Summaries } from './summaries.ts'

/** An instance that a test changes by hand; `views` counts how often its view was made. */
class Changing {
  readonly id: InstanceId
  readonly volume: VolumeId | undefined
  phase: InstanceView['phase'] = 'asleep'
  since = 0
  sleepsAt: string | null = null
  views = 0
  task = { revision: 1 }
  parked = { isParked: false }

  constructor(app: string) {
    this.id = app as InstanceId
    this.volume = app as VolumeId
  }

  becomes(phase: InstanceView['phase']): void {
    this.phase = phase
    this.since++
  }

  view(): InstanceView {
    this.views++
    return {
      ...instanceView(this.id, 'n1', this.phase),
      sleepsAt: this.sleepsAt,
      revision: this.task.revision,
      ...(this.parked.isParked && { parked: true as const }),
    }
  }
}

let clock: HandClock
let blog: Changing
let shop: Changing
let all: Changing[]
let uses: Map<VolumeId, VolumeUse>
let summaries: Summaries
beforeEach(() => {
  clock = new HandClock()
  ;[blog, shop] = [new Changing('blog'), new Changing('shop')]
  all = [blog, shop]
  uses = new Map()
  summaries = new Summaries({
    instances: () => all,
    askWorkers: async () => undefined,
    useOf: volume => uses.get(volume),
    clock,
  })
})

const signal = new AbortController().signal
const since = (version?: string, waitMs = 0) => summaries.since(version, waitMs, signal)
const said = ({ isWhole, items, gone }: Changed) => [isWhole, items.map(({ app, phase }) => `${app} ${phase}`), gone]

describe('what has changed of the instances', () => {
  test('is all there is for one that has no version, and nothing while nothing changes', async () => {
    const first = await since()
    assert.deepEqual(said(first), [true, ['blog asleep', 'shop asleep'], []])
    const second = await since(first.version)
    assert.deepEqual([said(second), second.version], [[false, [], []], first.version])
  })

  test('is each instance whose phase, revision, use or time to sleep is another one', async () => {
    const { version } = await since()
    blog.becomes('awake')
    const woken = await since(version)
    assert.deepEqual(said(woken), [false, ['blog awake'], []])
    blog.sleepsAt = '2026-11-21T12:00:00Z'
    const idle = await since(woken.version)
    assert.deepEqual(said(idle), [false, ['blog awake'], []])
    uses.set('blog' as VolumeId, { usedBytes: 1, sizeBytes: 2, onDiskBytes: 3 })
    const used = await since(idle.version)
    assert.deepEqual(used.items[0]?.volume, { usedBytes: 1, sizeBytes: 2 })
    shop.task = { revision: 2 }
    assert.deepEqual(said(await since(used.version)), [false, ['shop asleep'], []])
    assert.deepEqual(said(await since(version)), [false, ['blog awake', 'shop asleep'], []])
  })

  test('is one that is parked while it sleeps, or is so no more', async () => {
    const { version } = await since()
    blog.parked.isParked = true
    const parked = await since(version)
    assert.deepEqual([said(parked), parked.items[0]?.parked], [[false, ['blog asleep'], []], true])
    blog.parked.isParked = false
    const unparked = await since(parked.version)
    assert.deepEqual([said(unparked), unparked.items[0]?.parked], [[false, ['blog asleep'], []], undefined])
  })

  test('is what is gone, and what has come back is not gone', async () => {
    const { version } = await since()
    all = [blog]
    const gone = await since(version)
    assert.deepEqual(said(gone), [false, [], ['shop']])
    all = [blog, new Changing('shop')]
    assert.deepEqual(said(await since(gone.version)), [false, ['shop asleep'], []])
    assert.deepEqual(said(await since(version)), [false, ['shop asleep'], []])
  })

  test('is all again for a version of another run', async () => {
    const other = new Summaries({
      instances: () => all,
      askWorkers: async () => undefined,
      useOf: () => undefined,
      clock,
    })
    const { version } = await other.since(undefined, 0, signal)
    for (const one of [version, 'x', '']) assert.equal((await since(one)).isWhole, true)
  })

  test('is all again for one that is so far behind that what is gone is not known', async () => {
    const { version } = await since()
    const many = Array.from({ length: 1_001 }, (_, at) => new Changing(`app-${at}`))
    all = many
    await since()
    all = [blog]
    await since()
    assert.equal((await since(version)).isWhole, true)
  })
})

test('one that waits is told when something changes, or when its time is over', async () => {
  const { version } = await since()
  const waiting = since(version, 10_000)
  await clock.advance(600)
  shop.becomes('waking')
  await clock.advance(500)
  const changed = await waiting
  assert.deepEqual(said(changed), [false, ['shop waking'], []])
  const idle = since(changed.version, 2_000)
  await clock.advance(2_000)
  assert.deepEqual(said(await idle), [false, [], []])
})

test('an instance at rest is summed up once', async () => {
  const { version } = await since()
  for (let times = 0; times < 5; times++) await since(version)
  assert.deepEqual([blog.views, shop.views], [1, 1])
})
