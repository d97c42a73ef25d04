import type { ServerResponse } from 'node:http'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { STREAM_HEARTBEAT_EVERY } from '../../model/intervals.ts'
import type { AppName } from '../../model/names.ts'
import { SESSION_STATES, type SessionEnd, type SessionState } from '../../model/session.ts'
import type { Sessions } from './sessions.ts'

type Parts = { readonly sessions: Pick<Sessions, 'get'>; readonly clock: Clock }
/** `at`: since when, or where that is not known, when it was seen. */
export type SessionEvent = { readonly state: SessionState; readonly at: string; readonly end?: SessionEnd | undefined }

const LOOKED_EVERY_MS = 100
const LOOKED_AT_REST_EVERY_MS = 1_000

export type SessionStreams = ReturnType<typeof sessionStreams>

/** Streams of the states of sessions, as server-sent events (WHATWG HTML, 9.2). */
export function sessionStreams({ sessions, clock }: Parts) {
  return {
    /**
     * Writes the states from the first one on, until the session has ended. A new session passes states in one order, so the place in that
     * order is the id of an event; states that were passed between two looks are written too. One that sleeps and wakes counts on.
     */
    async send(session: AppName, lastId: string | undefined, response: ServerResponse, signal: AbortSignal) {
      let seen = await sessions.get(session)
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      const beat = setInterval(() => response.write(': beat\n\n'), STREAM_HEARTBEAT_EVERY)
      try {
        let id = idOf(lastId)
        let last: SessionState | undefined
        for (;;) {
          for (const event of passed(last, seen.state, seen.since, seen.end ?? undefined)) {
            const place = SESSION_STATES.indexOf(event.state) + 1
            if (last === undefined && place <= id) continue
            id = Math.max(id + (last === undefined ? 0 : 1), place)
            response.write(`id: ${id}\ndata: ${JSON.stringify(event)}\n\n`)
          }
          last = seen.state
          if (last === 'ended') return
          const isAtRest = last === 'ready' || last === 'asleep'
          await pause(clock, isAtRest ? LOOKED_AT_REST_EVERY_MS : LOOKED_EVERY_MS, signal)
          seen = await sessions.get(session)
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        clearInterval(beat)
      }
    },
  }
}

const idOf = (text: string | undefined): number => (/^\d{1,9}$/.test(text ?? '') ? Number(text) : 0)

/** The states after `last` up to `now`. A session that has not come to be ready passes to its end at once. */
function passed(
  last: SessionState | undefined,
  now: SessionState,
  at: string,
  end: SessionEnd | undefined,
): SessionEvent[] {
  if (last === now) return []
  const from = last === undefined ? 0 : SESSION_STATES.indexOf(last) + 1
  const to = SESSION_STATES.indexOf(now)
  const isOver = now === 'ending' || now === 'ended'
  const between = from > to || (isOver && last !== undefined) ? [] : SESSION_STATES.slice(from, to)
  const states = [...between.filter(state => state !== 'asleep' && state !== 'ending' && !isOver), now]
  return states.map(state => ({ state, at, ...(state === now && end !== undefined && { end }) }))
}
