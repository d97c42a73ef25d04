import type { OverviewEvent } from '../api/overview-calls.ts'
import type { AppRow } from '../model/overview.ts'
import { sessionEnded } from './api.ts'
import { readSession } from './session.ts'
import { store } from './store.ts'

/** Whether changes arrive. `lost`: the page shows what it knew before, and tries again by itself. */
export const connection = store<'connecting' | 'live' | 'lost'>('connecting')

type Listener = {
  readonly onRows?: (rows: readonly AppRow[]) => void
  readonly onRemoved?: (apps: readonly string[]) => void
  readonly onCounts?: (change: Extract<OverviewEvent, { counts: unknown }>) => void
  /** Changes may have been missed: read everything again. */
  readonly onReconnect?: () => void
}

const listeners = new Set<Listener>()
let source: EventSource | undefined

/** Follows changes of apps. One stream serves all listeners; it ends with the last of them. */
export function followLive(listener: Listener): () => void {
  listeners.add(listener)
  source ??= open()
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    source?.close()
    source = undefined
  }
}

function open(): EventSource {
  const events = new EventSource('/v1/overview/events')
  events.onopen = () => {
    connection.set('live')
    // Also at the first time: what changed between the first read of a page and now was not told.
    for (const { onReconnect } of listeners) onReconnect?.()
  }
  events.onmessage = ({ data }: MessageEvent<string>) => {
    const change: OverviewEvent = JSON.parse(data)
    for (const { onRows, onRemoved, onCounts } of listeners) {
      if ('rows' in change) onRows?.(change.rows)
      else if ('removed' in change) onRemoved?.(change.removed)
      else onCounts?.(change)
    }
  }
  events.onerror = () => {
    if (source === events) connection.set('lost')
    // A browser tries again by itself, unless the answer was an error, such as that of a session that has ended.
    if (events.readyState === EventSource.CLOSED) void openAgain(events)
  }
  return events
}

const AGAIN_AFTER_MS = 2_000

async function openAgain(closed: EventSource): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, AGAIN_AFTER_MS))
  if (source !== closed || sessionEnded.value !== undefined) return
  await readSession()
  if (source === closed && sessionEnded.value === undefined) source = open()
}
