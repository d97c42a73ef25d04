import type { InstanceSummary } from '../../model/instance-summary.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { AppRow, RowMonth } from '../../model/overview.ts'
import type { AppFacts } from './app-facts.ts'
import { isSameRow, rowOf } from './row.ts'

type Options = {
  readonly front: () => string | undefined
  /** The wall clock, in milliseconds. */
  readonly wall: () => number
  /** Called when something may have changed; not again before `settle`. */
  readonly onChange: () => void
}

/** What has changed since the last call of `settle`. */
export type RowChanges = { readonly rows: readonly AppRow[]; readonly removed: readonly AppName[] }

/** The rows of all apps, in memory. A row is made anew when something of it has changed, and all at once: in `settle`. */
export class OverviewIndex {
  readonly #options: Options
  readonly #apps = new Map<AppName, AppFacts>()
  /** What is on each node, by the id of the instance. */
  readonly #nodes = new Map<NodeName, Map<string, InstanceSummary>>()
  readonly #instances = new Map<AppName, readonly InstanceSummary[]>()
  readonly #silent = new Set<NodeName>()
  readonly #rows = new Map<AppName, AppRow>()
  readonly #dirty = new Set<AppName>()
  #owners: (app: AppName) => string | null = () => null
  #months: (facts: AppFacts) => RowMonth | null = () => null
  #isTold = false
  #version = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** Changes with each change of a row. */
  get version(): number {
    return this.#version
  }

  get rows(): ReadonlyMap<AppName, AppRow> {
    return this.#rows
  }

  get silent(): readonly NodeName[] {
    return [...this.#silent].sort()
  }

  get nodes(): readonly NodeName[] {
    return [...this.#nodes.keys()].sort()
  }

  factsOf(app: AppName): AppFacts | undefined {
    return this.#apps.get(app)
  }

  setApp(facts: AppFacts): void {
    this.#apps.set(facts.app, facts)
    this.#touch(facts.app)
  }

  removeApp(app: AppName): void {
    if (this.#apps.delete(app)) this.#touch(app)
  }

  /** All apps that there are: others are gone. */
  keepApps(names: ReadonlySet<AppName>): void {
    for (const app of this.#apps.keys()) if (!names.has(app)) this.removeApp(app)
  }

  setOwners(owners: (app: AppName) => string | null): void {
    this.#owners = owners
    this.#touchAll()
  }

  setMonths(months: (facts: AppFacts) => RowMonth | null): void {
    this.#months = months
    this.#touchAll()
  }

  /** The node is there, and answers or not. What is known of its instances stays. */
  setNode(node: NodeName, isSilent: boolean): void {
    if (!this.#nodes.has(node)) this.#nodes.set(node, new Map())
    if (this.#silent.has(node) === isSilent) return
    if (isSilent) this.#silent.add(node)
    else this.#silent.delete(node)
    for (const { app } of this.#nodes.get(node)?.values() ?? []) this.#touch(app)
    this.#tell() // also where the node has no instance
  }

  /** The node was removed. */
  removeNode(node: NodeName): void {
    this.#silent.delete(node)
    this.setInstances(node, [])
    this.#nodes.delete(node)
    this.#tell()
  }

  /** All instances of the node. */
  setInstances(node: NodeName, all: readonly InstanceSummary[]): void {
    const now = new Set<string>(all.map(({ instance }) => instance))
    const gone = [...(this.#nodes.get(node)?.keys() ?? [])].filter(id => !now.has(id))
    this.changeInstances(node, all, gone)
  }

  /** Some instances of the node have changed, or are gone. */
  changeInstances(node: NodeName, changed: readonly InstanceSummary[], gone: readonly string[]): void {
    const ofNode = this.#nodes.get(node) ?? new Map<string, InstanceSummary>()
    this.#nodes.set(node, ofNode)
    for (const id of gone) {
      const before = ofNode.get(id)
      if (before === undefined) continue
      ofNode.delete(id)
      this.#replace(before, undefined)
    }
    for (const one of changed) {
      const before = ofNode.get(one.instance)
      if (before !== undefined && JSON.stringify(before) === JSON.stringify(one)) continue
      ofNode.set(one.instance, one)
      this.#replace(before, one)
    }
  }

  #replace(before: InstanceSummary | undefined, after: InstanceSummary | undefined): void {
    const app = after?.app ?? before?.app
    if (app === undefined) return
    const others = (this.#instances.get(app) ?? []).filter(one => one !== before)
    const next = after === undefined ? others : [...others, after]
    if (next.length === 0) this.#instances.delete(app)
    else this.#instances.set(app, next)
    this.#touch(app)
  }

  /** Makes the rows anew that may have changed; returns those that a page has to be told of. */
  settle(): RowChanges {
    this.#isTold = false
    const rows: AppRow[] = []
    const removed: AppName[] = []
    if (this.#dirty.size > 0) this.#version++
    for (const app of this.#dirty) {
      const before = this.#rows.get(app)
      const facts = this.#apps.get(app)
      if (facts === undefined) {
        if (this.#rows.delete(app)) removed.push(app)
        continue
      }
      const row = this.#rowOf(facts)
      this.#rows.set(app, row)
      if (before === undefined || !isSameRow(before, row)) rows.push(row)
    }
    this.#dirty.clear()
    return { rows, removed }
  }

  #rowOf(facts: AppFacts): AppRow {
    return rowOf({
      facts,
      instances: this.#instances.get(facts.app) ?? [],
      silent: this.#silent,
      owner: this.#owners(facts.app),
      month: this.#months(facts),
      front: this.#options.front(),
      now: this.#options.wall(),
    })
  }

  #touch(app: AppName): void {
    this.#dirty.add(app)
    this.#tell()
  }

  #touchAll(): void {
    for (const app of this.#apps.keys()) this.#dirty.add(app)
    this.#tell()
  }

  #tell(): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#options.onChange()
  }
}
