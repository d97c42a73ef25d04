import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Change } from '../api/routes.ts'
import { openEvents } from '../lib/http/events.ts'
import type { App } from '../model/app.ts'
import { STREAM_HEARTBEAT_EVERY } from '../model/intervals.ts'

/** A reader this far behind is cut off; it polls and comes back. */
const MOST_BEHIND_BYTES = 1_048_576

export type Changes = ReturnType<typeof changeStream>

/** Tells listeners of the changes made through this master. A hint: those through another are found by asking. */
export function changeStream() {
  const emitter = new EventEmitter().setMaxListeners(0)
  return {
    changed: ({ name, domains, task }: App): void =>
      void emitter.emit('change', { app: name, revision: task.revision, domains } satisfies Change),
    removed: ({ name, domains }: App): void =>
      void emitter.emit('change', { app: name, revision: null, domains } satisfies Change),
    /** Writes changes to the response until it closes. */
    stream(response: ServerResponse, signal: AbortSignal): Promise<void> {
      const send = openEvents(response, STREAM_HEARTBEAT_EVERY)
      const listener = (change: Change): void => {
        send(change)
        if (response.writableLength > MOST_BEHIND_BYTES) response.destroy()
      }
      emitter.on('change', listener)
      return new Promise(resolve => {
        signal.addEventListener(
          'abort',
          () => {
            emitter.off('change', listener)
            resolve()
          },
          { once: true },
        )
      })
    },
  }
}
