import { parentPort } from 'node:worker_threads'
import { takeLastResort } from '../last-resort.ts'
import type { Log } from '../log.ts'
import { Channel } from './channel.ts'
import { crewOf, type ThreadMethods } from './crew.ts'

type Given = { readonly channel: Channel; readonly log: Log }

/** Runs a thread of a crew: `open` begins its work, disposing what that gives ends it. */
export async function runThread(open: (given: Given) => Promise<AsyncDisposable>): Promise<void> {
  if (parentPort === null) throw new Error('this file is run as a thread alone')
  const channel = new Channel(parentPort)
  const crew = crewOf(channel)
  const log = logOver(crew)
  takeLastResort({
    log,
    onTold: () => crew.tell('unexpected', null),
    restart: () => void end().catch(() => process.exit(1)), // the crew starts another
  })
  const work = open({ channel, log })
  const end = async (): Promise<void> => {
    await (await work)[Symbol.asyncDispose]()
    process.exit() // of a thread: ends it, and nothing else
  }
  channel.serve<ThreadMethods>({
    beat: () => undefined,
    end,
  })
  await work
  crew.tell('ready', null)
}

/** A log whose lines the main thread writes. */
function logOver(crew: ReturnType<typeof crewOf>): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      try {
        crew.tell('log', { level, event, fields })
      } catch {
        crew.tell('log', { level, event, fields: { notCloned: Object.keys(fields) } })
      }
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
