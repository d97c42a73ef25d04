import { parentPort } from 'node:worker_threads'
import type { Log } from '../log.ts'
import { handleUncaughtErrors } from '../uncaught-errors.ts'
import { Channel } from './channel.ts'
import { poolOf, type ThreadMethods } from './worker-pool.ts'

type Given = { readonly channel: Channel; readonly log: Log }

/** Runs a thread of a pool. `open` starts its work; disposing the result ends it. */
export async function runThread(open: (given: Given) => Promise<AsyncDisposable>): Promise<void> {
  if (parentPort === null) throw new Error('this file is run as a thread alone')
  const channel = new Channel(parentPort)
  const pool = poolOf(channel)
  const log = logOver(pool)
  handleUncaughtErrors({
    log,
    onUnexpected: cause => pool.notify('unexpected', String(cause)),
    restart: () => void end().catch(() => process.exit(1)), // the pool starts another thread
  })
  const work = open({ channel, log })
  const end = async (): Promise<void> => {
    await (await work)[Symbol.asyncDispose]()
    process.exit() // in a worker thread, this ends the thread and not the process
  }
  channel.serve<ThreadMethods>({
    beat: () => undefined,
    end,
  })
  await work
  pool.notify('ready', null)
}

/** A log whose lines the main thread writes. */
function logOver(pool: ReturnType<typeof poolOf>): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      try {
        pool.notify('log', { level, event, fields })
      } catch {
        pool.notify('log', { level, event, fields: { notCloned: Object.keys(fields) } })
      }
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
