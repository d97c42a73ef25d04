import type { OverviewEvent } from '../../api/overview-calls.ts'
import { openEventTexts } from '../../lib/http/api/events.ts'
import type { StreamedResponse } from '../../lib/http/exchange.ts'
import { STREAM_HEARTBEAT_EVERY } from '../../model/intervals.ts'
import type { AppName } from '../../model/names.ts'
import type { AppRow } from '../../model/overview.ts'
import type { Scope } from '../../model/scope.ts'
import type { OverviewIndex, RowChanges } from './overview-index.ts'
import { isShown, type RowPages } from './row-pages.ts'

/** A page that is this far behind is disconnected; it connects again, and reads all anew. */
const MOST_BEHIND_BYTES = 1_048_576
/** How many rows one event has at most. Of more that have changed at once, the newest are sent first, and the others with the next events. */
const MOST_ROWS = 500

type Viewer = {
  readonly scope: Scope | undefined
  readonly app: AppName | undefined
  readonly response: StreamedResponse
  readonly send: (json: string) => void
  counts: string
}

/** The open pages, which are sent what changes. What several pages shall have is put into words once. */
export class PageStreams {
  readonly #index: OverviewIndex
  readonly #pages: RowPages
  readonly #viewers = new Set<Viewer>()
  /** Apps whose rows have changed and were not sent; the newest last. */
  readonly #unsent = new Set<AppName>()

  constructor(index: OverviewIndex, pages: RowPages) {
    this.#index = index
    this.#pages = pages
  }

  /** Sends the changes to the response until it closes or the signal aborts. */
  stream(
    { scope, app }: Pick<Viewer, 'scope' | 'app'>,
    response: StreamedResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const viewer: Viewer = { scope, app, response, send: openEventTexts(response, STREAM_HEARTBEAT_EVERY), counts: '' }
    this.#viewers.add(viewer)
    this.#sendCounts(viewer)
    return new Promise(resolve => {
      const end = (): void => {
        this.#viewers.delete(viewer)
        resolve()
      }
      if (signal.aborted) end()
      signal.addEventListener('abort', end, { once: true })
      response.once('close', end)
    })
  }

  /** Tells the pages what has changed. Returns whether there is more to send. */
  tell({ rows, removed }: RowChanges): boolean {
    for (const { app } of rows) {
      this.#unsent.delete(app)
      this.#unsent.add(app)
    }
    if (this.#viewers.size === 0) this.#unsent.clear()
    const sent = [...this.#unsent].slice(-MOST_ROWS)
    for (const app of sent) this.#unsent.delete(app)
    const changed = sent.flatMap(app => this.#index.rows.get(app) ?? [])
    const events = new Map<string, readonly string[]>()
    for (const viewer of this.#viewers) {
      const key = JSON.stringify([viewer.scope, viewer.app])
      const known = events.get(key) ?? eventsFor(viewer, changed, removed)
      events.set(key, known)
      for (const event of known) viewer.send(event)
      this.#sendCounts(viewer)
      if (viewer.response.writableLength > MOST_BEHIND_BYTES) viewer.response.destroy()
    }
    return this.#unsent.size > 0
  }

  #sendCounts(viewer: Viewer): void {
    const counts = asJson({ counts: this.#pages.counts(viewer.scope), silent: this.#index.silent })
    if (viewer.counts === counts) return
    viewer.counts = counts
    viewer.send(counts)
  }
}

function eventsFor({ scope, app }: Viewer, changed: readonly AppRow[], removed: readonly AppName[]): readonly string[] {
  const isFor = (name: AppName): boolean => (app === undefined || app === name) && isShown(scope, name)
  const rows = changed.filter(row => isFor(row.app))
  const names = removed.filter(isFor)
  return [...(rows.length > 0 ? [asJson({ rows })] : []), ...(names.length > 0 ? [asJson({ removed: names })] : [])]
}

const asJson = (event: OverviewEvent): string => JSON.stringify(event)
