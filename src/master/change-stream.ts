import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { CHANGES_CHECKED } from '../api/change-stream.ts'
import type { Change } from '../api/master-calls.ts'
import { openEvents } from '../lib/http/api/events.ts'
import type { App } from '../model/app.ts'
import { STREAM_HEARTBEAT_EVERY } from '../model/intervals.ts'

/** A reader that is this far behind is disconnected; it polls and connects again. */
const MOST_BEHIND_BYTES = 1_048_576
const CHECKED = `: ${CHANGES_CHECKED}\n\n`

export type ChangeStream = ReturnType<typeof changeStream>

/**
 * Sends the changes made through any master to listeners. The comment `: checked` in the stream means: all changes until now have been
 * sent.
 * A listener may trust what it has checked since the stream began until shortly after the last such comment.
 */
export function changeStream() {
  const emitter = new EventEmitter().setMaxListeners(0)
  return {
    changed: ({ name, domains, task }: App): void =>
      void emitter.emit('change', { app: name, revision: task.revision, domains } satisfies Change),
    removed: ({ name, domains }: Pick<App, 'name' | 'domains'>): void =>
      void emitter.emit('change', { app: name, revision: null, domains } satisfies Change),
    /** All changes until now have been sent. */
    checked: (): void => void emitter.emit('checked'),
    /** Ends all streams, because some changes could not be sent. Listeners connect again and check what they keep. */
    restart: (): void => void emitter.emit('restart'),
    /** Writes changes to the response until it closes. */
    stream(response: ServerResponse, signal: AbortSignal): Promise<void> {
      const send = openEvents(response, STREAM_HEARTBEAT_EVERY)
      const listener = (change: Change): void => {
        send(change)
        if (response.writableLength > MOST_BEHIND_BYTES) response.destroy()
      }
      const checked = (): void => void response.write(CHECKED)
      return new Promise(resolve => {
        const end = (): void => {
          emitter.off('change', listener).off('checked', checked).off('restart', end)
          resolve()
        }
        emitter.on('change', listener).on('checked', checked).on('restart', end)
        signal.addEventListener('abort', end, { once: true })
      })
    },
  }
}
