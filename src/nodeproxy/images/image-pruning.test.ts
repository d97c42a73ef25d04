import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { HandClock } from '../../testing/clock.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import type { OwnImage } from '../builds/image-builder.ts'
import { ImagePruning } from './image-pruning.ts'

const DAY = 86_400_000
const X = 'master.shadow/blog:0000000000aa'
const ID = 'sha256:0000000000aa'

let clock: HandClock
let inReach: TaskDefinition[]
beforeEach(() => {
  clock = new HandClock()
  inReach = []
})

function node(images: OwnImage[], master: Pick<TestMaster['admin'], 'call'>) {
  const gone: string[] = []
  const own = async () => images
  const untag = async (name: string) => void gone.push(name)
  const turn = new Mutex()
  const pruning = new ImagePruning({ images: { own, untag }, turn, master, inReach: () => inReach, clock, log: noLog })
  return { pruning, gone, turn }
}

type Case = {
  readonly what: string
  /** What was registered with the master. */
  readonly before?: (on: TestMaster) => Promise<unknown>
  readonly name?: string
  readonly id?: string
  /** How long ago the image got its name. */
  readonly ago?: number
  /** What this node may wake. */
  readonly here?: Partial<TaskDefinition>
  readonly stays: boolean
}

const register = (on: TestMaster, name: string, image: string) =>
  on.admin.call('registerApp', { body: { name, image, sleep: { idleAfter: '5m' } } })
const update = (on: TestMaster, app: string, image: string) =>
  on.admin.call('updateApp', { params: { app }, body: { image } })

const CASES: readonly Case[] = [
  { what: 'of no app, named a day ago', stays: false },
  { what: 'of no app, named just now, since its release is still to come', ago: 60_000, stays: true },
  { what: 'of an app that is asleep', before: on => register(on, 'blog', X), stays: true },
  {
    what: 'of a release that a rollback reaches',
    before: async on => {
      await register(on, 'blog', X)
      for (const tag of ['b', 'c', 'd']) await update(on, 'blog', `ghost:${tag}`)
    },
    stays: true,
  },
  {
    what: 'of a release that is out of reach',
    before: async on => {
      await register(on, 'blog', X)
      for (let tag = 0; tag < 22; tag++) await update(on, 'blog', `ghost:${tag}`)
    },
    stays: false,
  },
  {
    what: 'of a removed app',
    before: async on => {
      await register(on, 'blog', X)
      await on.admin.call('removeApp', { params: { app: 'blog' }, query: {} })
    },
    stays: false,
  },
  { what: 'of an app that this node alone still knows, by its name', here: { image: X }, stays: true },
  {
    what: 'of an app that this node alone still knows, by what its revision is pinned to',
    here: { image: 'ghost:6', pinned: { id: ID } },
    stays: true,
  },
]

describe('an image of ours', () => {
  for (const { what, before, name = X, id = ID, ago = 2 * DAY, here, stays } of CASES)
    test(`${what} ${stays ? 'stays' : 'is removed'}`, async () => {
      await using on = await testMaster(memoryStorage(), clock)
      await before?.(on)
      if (here !== undefined) inReach = [here as TaskDefinition]
      const asNode = await on.as('node')
      const { pruning, gone } = node([{ id, name, namedAt: clock.wall() - ago }], asNode)
      await pruning.prune()
      assert.deepEqual(gone, stays ? [] : [name])
    })
})

test('no image is removed while no master answers', async () => {
  const call = async () => {
    throw new ShadowError('master-unreachable', 'no answer')
  }
  const { pruning, gone } = node([{ id: ID, name: X, namedAt: 0 }], { call } as never)
  await assert.rejects(pruning.prune(), /no answer/)
  assert.deepEqual(gone, [])
})

test('images are looked at once an hour, and not while an image is built', async () => {
  const asked: number[] = []
  const call = async () => {
    asked.push(clock.now())
    return { needed: [X] }
  }
  const { pruning, turn, gone } = node([{ id: ID, name: X, namedAt: 0 }], { call } as never)
  pruning.start()
  const build = Promise.withResolvers<void>()
  const building = turn.take(() => build.promise)
  await clock.advance(3_600_000)
  assert.equal(asked.length, 0)
  build.resolve()
  await building
  await clock.advance(3_600_000)
  assert.equal(asked.length, 2)
  pruning[Symbol.dispose]()
  await clock.advance(3_600_000)
  assert.deepEqual([asked.length, gone], [2, []])
})
