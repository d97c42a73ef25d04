import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { CHANGES_CHECKED } from '../api/change-stream.ts'
import type { Change } from '../api/master-calls.ts'
import { openEvents } from '../lib/http/api/events.ts'
import type { App } from '../model/app.ts'
import { STREAM_HEARTBEAT_EVERY } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'

/** A reader that is this far behind is disconnected; it polls and connects again. */
const MOST_BEHIND_BYTES = 1_048_576
const CHECKED = `: ${CHANGES_CHECKED}\n\n`

export type ChangeStream = ReturnType<typeof changeStream>

export type AppListener = {
  readonly changed: (app: App) => void
  readonly removed: (app: AppName) => void
  /** Some changes could not be sent: the listener checks everything that it keeps. */
  readonly restart: () => void
}

/**
 * Sends the changes made through any master to listeners. The comment `: checked` in the stream means: all changes until now have been
 * sent.
 * A listener may trust what it has checked since the stream began until shortly after the last such comment.
 */
export function changeStream() {
  const emitter = new EventEmitter().setMaxListeners(0)
  return {
    changed(app: App): void {
      const { name, domains, task } = app
      emitter.emit('app', app)
      emitter.emit('change', { app: name, revision: task.revision, domains } satisfies Change)
    },
    removed({ name, domains }: Pick<App, 'name' | 'domains'>): void {
      emitter.emit('removed', name)
      emitter.emit('change', { app: name, revision: null, domains } satisfies Change)
    },
    /** All changes until now have been sent. */
    checked: (): void => void emitter.emit('checked'),
    /** Ends all streams, because some changes could not be sent. Listeners connect again and check what they keep. */
    restart: (): void => void emitter.emit('restart'),
    /** Calls the listener with each app that changes, within this master, until it is disposed. */
    listen({ changed, removed, restart }: AppListener): Disposable {
      emitter.on('app', changed).on('removed', removed).on('restart', restart)
      return {
        [Symbol.dispose]: () => void emitter.off('app', changed).off('removed', removed).off('restart', restart),
      }
    },
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
