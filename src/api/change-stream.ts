import { z } from 'zod'
import { pause } from '../lib/abort.ts'
import type { Freshness } from '../lib/cache/freshness.ts'
import type { Clock } from '../lib/clock.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { CHECKED_COUNTS_FOR, POLL_WITHOUT_STREAM_EVERY, STREAM_LOST_AFTER } from '../model/intervals.ts'
import type { MasterClient } from './client.ts'
import { AppNameSchema, HostnameSchema } from './schemas.ts'

/** The comment by which a master says in the stream that it has sent all changes until now, of all masters. */
export const CHANGES_CHECKED = 'checked'

const ChangeSchema = z.object({
  app: AppNameSchema,
  revision: z.int().nullable(),
  domains: z.array(HostnameSchema).default([]),
})

/** An app that changed; `revision` null: it was removed. */
export type AppChange = z.output<typeof ChangeSchema>

type Stream = {
  readonly master: MasterClient
  readonly clock: Clock
  readonly freshness: Freshness
  /**
   * The stream is open: changes from now on are sent. Data is not waited for: the end of a stream that nobody reads would never be seen.
   */
  readonly onOpen: () => void
  readonly onChange: (change: AppChange) => void
  /**
   * No master confirms that all changes are sent, so cached documents may be out of date. Called now and every POLL_WITHOUT_STREAM_EVERY,
   * as long as that lasts.
   */
  readonly onDoubt: () => void
}
type Following = Stream & {
  /** The stream has ended, or could not be opened; another attempt follows. */
  readonly onEnd: (cause: unknown) => void
}

/** Keeps a stream of changes open until the signal aborts. */
export async function followStream({ onEnd, ...stream }: Following, signal: AbortSignal): Promise<void> {
  const { clock, freshness, onDoubt } = stream
  while (!signal.aborted) {
    let cause: unknown
    try {
      await readStream(stream, signal)
    } catch (error) {
      cause = error
    }
    if (!signal.aborted) onEnd(cause)
    freshness.ended()
    await pause(clock, POLL_WITHOUT_STREAM_EVERY, signal).catch(() => undefined) // an abort ends the loop at its head
    if (!signal.aborted) onDoubt()
  }
}

/** Reads one stream until it ends, is silent for STREAM_LOST_AFTER, or the signal aborts; throws the reason. */
async function readStream(stream: Stream, signal: AbortSignal): Promise<void> {
  const { master, clock, freshness, onOpen, onChange, onDoubt } = stream
  const lost = new AbortController()
  const silence = new Alarm(clock, () => lost.abort(new Error('the stream of changes fell silent')))
  const doubt = new Alarm(clock, () => {
    onDoubt()
    doubt.set(POLL_WITHOUT_STREAM_EVERY)
  })
  using _silence = silence
  using _doubt = doubt
  silence.set(STREAM_LOST_AFTER)
  const { body } = await master.raw('changes', { signal: AbortSignal.any([signal, lost.signal]) })
  freshness.opened()
  doubt.set(CHECKED_COUNTS_FOR)
  onOpen()
  const onLine = (line: string): void => {
    silence.set(STREAM_LOST_AFTER)
    if (line !== `: ${CHANGES_CHECKED}`) return
    freshness.proven()
    doubt.set(CHECKED_COUNTS_FOR)
  }
  for await (const event of readEvents(body, onLine)) {
    const change = ChangeSchema.safeParse(event)
    if (change.success) onChange(change.data) // a newer master may send changes of a kind that this version does not know
  }
}

/** A timer that can be set again and again. */
class Alarm implements Disposable {
  readonly #clock: Clock
  readonly #ring: () => void
  #set: Disposable | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  set(ms: number): void {
    this.#set?.[Symbol.dispose]()
    this.#set = this.#clock.after(ms, this.#ring)
  }

  [Symbol.dispose](): void {
    this.#set?.[Symbol.dispose]()
  }
}
