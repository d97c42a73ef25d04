import { existsSync } from 'node:fs'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { Singleflight } from '../../lib/singleflight.ts'
import type { Other } from '../../lib/threads/channel.ts'
import { entryOf } from '../../lib/threads/entry.ts'
import { WorkerPool } from '../../lib/threads/worker-pool.ts'
import type { NodeName } from '../../model/names.ts'
import type { HistoryMethods, HistoryThreadData } from './protocol.ts'

/** The store in its thread. */
export type StoreThread = AsyncDisposable & {
  call<N extends keyof HistoryMethods>(
    method: N,
    input: Parameters<HistoryMethods[N]>[0],
  ): Promise<ReturnType<HistoryMethods[N]>>
  /** Whether there may be something to read. */
  readonly isThere: boolean
}

type Options = { readonly folder: string; readonly node: NodeName; readonly clock: Clock; readonly log: Log }

const ENDS_WITHIN_MS = 5_000
/** A thread that cannot start, as on a full disk, is not started again before. */
const AGAIN_AFTER_MS = 60_000

/** Opens the store of a node's history. Its thread is started by the first call, so that a node without apps has none. */
export function openStore({ folder, node, clock, log }: Options): StoreThread {
  let pool: WorkerPool | undefined
  const starting = new Singleflight()
  let isOver = false
  let failed: { readonly at: number; readonly cause: unknown } | undefined

  const thread = async (): Promise<Other<HistoryMethods>> => {
    if (pool === undefined) {
      if (failed !== undefined && clock.now() - failed.at < AGAIN_AFTER_MS) throw failed.cause
      await starting.join(async () => {
        const data: HistoryThreadData = { folder, node }
        const made = new WorkerPool({
          entry: entryOf(import.meta.url, './thread.ts', 'history-worker.js'),
          size: 1,
          data: () => data,
          serve: () => ({ [Symbol.dispose]: () => undefined }),
          endWithinMs: ENDS_WITHIN_MS,
          clock,
          log,
        })
        try {
          await made.start()
        } catch (cause) {
          failed = { at: clock.now(), cause }
          throw cause
        }
        pool = made
      })
    }
    const channel = pool?.channels[0]
    if (channel === undefined) throw new Error('the thread of the history has ended, and is started again')
    return channel.other<HistoryMethods>()
  }

  return {
    get isThere() {
      return pool !== undefined || starting.isUnderWay || existsSync(`${folder}/history.db`)
    },
    async call(method, input) {
      if (isOver) throw new Error('the history is closed')
      return (await (await thread()).call(method, input)) as never
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      if (starting.isUnderWay) await starting.join(async () => undefined).catch(() => undefined)
      await pool?.end()
    },
  }
}
