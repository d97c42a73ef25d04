import { z } from 'zod'
import type { Clock } from '../lib/clock.ts'
import { readEvents } from '../lib/http/events.ts'
import { STREAM_LOST_AFTER } from '../model/intervals.ts'
import type { MasterClient } from './client.ts'
import { AppNameSchema, HostnameSchema } from './schemas.ts'

const ChangeSchema = z.object({
  app: AppNameSchema,
  revision: z.int().nullable(),
  domains: z.array(HostnameSchema).default([]),
})

/** An app that changed; `revision` null: it was removed. */
export type AppChange = z.output<typeof ChangeSchema>

type Options = {
  readonly master: MasterClient
  readonly clock: Clock
  /** The stream is there: what changed from now on is told. Neither is waited for: a stream that is cut unread is never seen to end. */
  readonly onOpen: () => void
  readonly onChange: (change: AppChange) => void
}

/** Reads the master's stream of changes until it ends, or falls silent for STREAM_LOST_AFTER, or the signal aborts; throws why. */
export async function readChanges({ master, clock, onOpen, onChange }: Options, signal: AbortSignal): Promise<void> {
  const lost = new AbortController()
  const watch = (): Disposable =>
    clock.after(STREAM_LOST_AFTER, () => lost.abort(new Error('the stream of changes fell silent')))
  let alarm = watch()
  const beat = (): void => {
    alarm[Symbol.dispose]()
    alarm = watch()
  }
  try {
    const { body } = await master.raw('changes', { signal: AbortSignal.any([signal, lost.signal]) })
    onOpen()
    for await (const event of readEvents(body, beat)) {
      const change = ChangeSchema.safeParse(event)
      if (change.success) onChange(change.data) // a newer master may tell of more than we know
    }
  } finally {
    alarm[Symbol.dispose]()
  }
}
