import type { StreamedResponse } from '../../lib/http/exchange.ts'
import type { AppName } from '../../model/names.ts'
import type { Scope } from '../../model/scope.ts'
import type { OverviewPage, OverviewParts } from './overview-parts.ts'
import { OverviewView } from './overview-view.ts'
import type { RowQuery } from './row-pages.ts'

/** What is kept for pages that look, and for some minutes after the last of them. */
const KEPT_MS = 180_000

/**
 * All apps at a glance. What it knows is in memory only, and only while somebody looks: the store and the nodes have the truth, and any
 * master can tell the same.
 */
export class Overview implements Disposable {
  readonly #parts: OverviewParts
  #view: OverviewView | undefined
  #lookers = 0
  #end: Disposable | undefined

  constructor(parts: OverviewParts) {
    this.#parts = parts
  }

  async page(query: RowQuery, scope: Scope | undefined): Promise<OverviewPage> {
    using looking = this.#look()
    await looking.view.ready
    return looking.view.page(query, scope)
  }

  /** Sends what changes to the response until it closes or the signal aborts. */
  async stream(
    of: { readonly scope: Scope | undefined; readonly app: AppName | undefined },
    response: StreamedResponse,
    signal: AbortSignal,
  ): Promise<void> {
    using looking = this.#look()
    await looking.view.ready
    await looking.view.streams.stream(of, response, signal)
  }

  /** A document of a token has changed, and with it which apps are whose. */
  ownersChanged(): void {
    this.#view?.readOwners()
  }

  #look(): Disposable & { readonly view: OverviewView } {
    const { clock } = this.#parts
    this.#end?.[Symbol.dispose]()
    this.#lookers++
    const view = this.#opened()
    return {
      view,
      [Symbol.dispose]: () => {
        this.#lookers--
        if (this.#lookers === 0) this.#end = clock.after(KEPT_MS, () => this[Symbol.dispose]())
      },
    }
  }

  #opened(): OverviewView {
    if (this.#view !== undefined) return this.#view
    const view = new OverviewView(this.#parts)
    this.#view = view
    // A view that could not be read is forgotten, so that the next look reads again.
    view.ready.catch(() => {
      view[Symbol.dispose]()
      if (this.#view === view) this.#view = undefined
    })
    return view
  }

  [Symbol.dispose](): void {
    this.#end?.[Symbol.dispose]()
    this.#view?.[Symbol.dispose]()
    this.#view = undefined
  }
}
