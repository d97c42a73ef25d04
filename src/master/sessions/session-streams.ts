import type { ServerResponse } from 'node:http'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { Notifier } from '../../lib/notifier.ts'
import { STREAM_HEARTBEAT_EVERY } from '../../model/intervals.ts'
import type { AppName } from '../../model/names.ts'
import { SESSION_STATES, type SessionEnd, type SessionState } from '../../model/session.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Relay } from '../relay.ts'
import type { Sessions } from './sessions.ts'

type Parts = {
  readonly sessions: Pick<Sessions, 'get' | 'read'>
  readonly relay: Pick<Relay, 'follow'>
  readonly changes: Pick<ChangeStream, 'listen'>
  readonly clock: Clock
}
/** `at`: since when, or where that is not known, when it was seen. */
export type SessionEvent = { readonly state: SessionState; readonly at: string; readonly end?: SessionEnd | undefined }

/** A node that does not let itself be followed is asked again and again; the others too, since a change may get lost. */
const LOOKED_EVERY_MS = 250
const LOOKED_BESIDE_STREAM_EVERY_MS = 1_000

export type SessionStreams = ReturnType<typeof sessionStreams>

/** Streams of the states of sessions, as server-sent events (WHATWG HTML, 9.2). */
export function sessionStreams({ sessions, relay, changes, clock }: Parts) {
  /** Rings at each sign that the session may have come to another state. */
  async function ring(session: AppName, bell: Notifier, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const over = new AbortController()
      const until = AbortSignal.any([signal, over.signal])
      const beside = ringEvery(LOOKED_BESIDE_STREAM_EVERY_MS, bell, until)
      try {
        const record = await sessions.read(session)
        if (record.state === 'live') for await (const _ of relay.follow(record.app, until)) bell.notify()
      } catch {
        // Its node is away, or has not got it yet.
      }
      over.abort()
      await beside
      await pause(clock, LOOKED_EVERY_MS, signal).catch(() => undefined) // the head of the loop ends it
      bell.notify()
    }
  }

  async function ringEvery(ms: number, bell: Notifier, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(clock, ms, signal).catch(() => undefined) // the head of the loop ends it
      bell.notify()
    }
  }

  return {
    /**
     * Writes the states from the first one on, until the session has ended. A new session passes states in one order: those that were passed
     * between two looks are written too. The id of an event is its number and its state, so that any master goes on after it.
     */
    async send(session: AppName, lastId: string | undefined, response: ServerResponse, signal: AbortSignal) {
      const first = await sessions.get(session)
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      response.flushHeaders()
      const beat = setInterval(() => response.write(': beat\n\n'), STREAM_HEARTBEAT_EVERY)
      const closed = new AbortController()
      const until = AbortSignal.any([signal, closed.signal])
      const bell = new Notifier()
      let end = first.end ?? undefined
      // Once it is removed, another session may get its name at once: that one is not what the reader follows.
      let isRemoved = false
      using _listening = changes.listen({
        changed: app => {
          if (app.name !== session) return
          if (!isRemoved) end = app.session?.ending ?? end
          bell.notify()
        },
        removed: name => {
          if (name !== session) return
          isRemoved = true
          bell.notify()
        },
        restart: () => bell.notify(),
      })
      const ringing = ring(session, bell, until)
      try {
        let { last, number } = readId(lastId)
        for await (const seen of bell.follow(() => sessions.get(session), until)) {
          const now = isRemoved ? ended(end, seen.since) : { state: seen.state, at: seen.since, ...endOf(seen) }
          for (const event of passed(last, now))
            response.write(`id: ${++number}-${event.state}\ndata: ${JSON.stringify(event)}\n\n`)
          last = now.state
          if (last === 'ended') return
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        closed.abort()
        clearInterval(beat)
        await ringing
      }
    },
  }
}

const endOf = ({ end }: { readonly end?: SessionEnd | null | undefined }) => (end ? { end } : {})

const ended = (end: SessionEnd | undefined, at: string): SessionEvent => ({
  state: 'ended',
  at: end?.at ?? at,
  ...endOf({ end }),
})

const ID = /^(\d{1,9})-([a-z]+)$/

/** What the reader has seen last; a new reader, or one with an id that is none, has seen nothing. */
function readId(id: string | undefined): { last: SessionState | undefined; number: number } {
  const [, number = '0', state] = ID.exec(id ?? '') ?? []
  const last = SESSION_STATES.find(one => one === state)
  return { last, number: last === undefined ? 0 : Number(number) }
}

/** The states after `last` up to `now`. A session that has not come to be ready passes to its end at once. */
function passed(last: SessionState | undefined, now: SessionEvent): readonly SessionEvent[] {
  if (last === now.state) return []
  const from = last === undefined ? 0 : SESSION_STATES.indexOf(last) + 1
  const to = SESSION_STATES.indexOf(now.state)
  if (now.state === 'ending') return [now]
  if (now.state === 'ended') return last === undefined || last === 'ending' ? [now] : [{ ...now, state: 'ending' }, now]
  const between = SESSION_STATES.slice(from, to).filter(state => state !== 'asleep')
  return [...between.map(state => ({ state, at: now.at })), now]
}
