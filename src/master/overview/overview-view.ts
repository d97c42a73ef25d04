import { repeat } from '../../lib/repeat.ts'
import type { AppName } from '../../model/names.ts'
import { ownerOf, type Scope } from '../../model/scope.ts'
import { AppFeed } from './app-feed.ts'
import { readMonths } from './months.ts'
import { NodeFeed } from './node-feed.ts'
import { OverviewIndex } from './overview-index.ts'
import type { OverviewPage, OverviewParts } from './overview-parts.ts'
import { PageStreams } from './page-streams.ts'
import { RowPages, type RowQuery } from './row-pages.ts'

/** Changes within this time are told together. */
const TOLD_EVERY_MS = 250
const MONTH_READ_EVERY_MS = 60_000

/** What a master knows of all apps while somebody looks. */
export class OverviewView implements Disposable {
  /** Resolves when all apps and nodes were read. */
  readonly ready: Promise<void>
  readonly streams: PageStreams
  readonly #parts: OverviewParts
  readonly #index: OverviewIndex
  readonly #pages: RowPages
  readonly #ending = new AbortController()
  readonly #held = new DisposableStack()
  #telling: Disposable | undefined

  constructor(parts: OverviewParts) {
    const { clock, log, front } = parts
    this.#parts = parts
    this.#index = new OverviewIndex({ front, wall: () => clock.wall(), onChange: () => this.#tellSoon() })
    this.#pages = new RowPages(this.#index)
    this.streams = new PageStreams(this.#index, this.#pages)
    const apps = this.#held.use(new AppFeed({ ...parts, index: this.#index }))
    const nodes = new NodeFeed({ ...parts, nodes: () => parts.nodes.all(), index: this.#index })
    this.ready = this.#start(apps, nodes)
    this.#held.use(
      repeat(
        clock,
        MONTH_READ_EVERY_MS,
        () => this.#readMonth(),
        cause => log.warn('usage not read for the overview', { cause }),
      ),
    )
  }

  page(query: RowQuery, scope: Scope | undefined): OverviewPage {
    this.#tell()
    const { nodes, silent } = this.#index
    return {
      ...this.#pages.page(query, scope),
      counts: this.#pages.counts(scope),
      owners: this.#pages.owners(scope),
      nodes: scope === undefined ? [...nodes] : this.#pages.nodes(scope),
      silent: [...silent],
    }
  }

  /** Reads again which apps are whose. */
  readOwners(): void {
    this.#readOwners().catch(cause => this.#parts.log.warn('owners not read for the overview', { cause }))
  }

  async #start(apps: AppFeed, nodes: NodeFeed): Promise<void> {
    await Promise.all([apps.read(), nodes.start(this.#ending.signal), this.#readOwners(), this.#readMonth()])
    this.#tell()
  }

  async #readOwners(): Promise<void> {
    const owners = await this.#parts.owners()
    this.#index.setOwners((app: AppName) => (owners.length === 0 ? null : (ownerOf(app, owners) ?? null)))
  }

  async #readMonth(): Promise<void> {
    const { usage, prices, clock } = this.#parts
    this.#index.setMonths(await readMonths(usage, prices, clock.wall()))
  }

  #tellSoon(): void {
    this.#telling ??= this.#parts.clock.after(TOLD_EVERY_MS, () => this.#tell())
  }

  #tell(): void {
    this.#telling?.[Symbol.dispose]()
    this.#telling = undefined
    if (this.#ending.signal.aborted) return
    if (this.streams.tell(this.#index.settle())) this.#tellSoon()
  }

  [Symbol.dispose](): void {
    this.#ending.abort()
    this.#telling?.[Symbol.dispose]()
    this.#held[Symbol.dispose]()
  }
}
