import {
  type AppRow,
  ROW_FLAGS,
  ROW_PHASES,
  type RowCounts,
  type RowFlag,
  type RowPhase,
  type RowSort,
} from '../../model/overview.ts'
import { isInScope, type Scope } from '../../model/scope.ts'
import { sessionParts } from '../../model/session.ts'
import type { OverviewIndex } from './overview-index.ts'

export type RowQuery = {
  readonly search?: string | undefined
  readonly phase?: RowPhase | RowFlag | undefined
  readonly owner?: string | undefined
  readonly node?: string | undefined
  readonly sort?: RowSort | undefined
  readonly order?: 'asc' | 'desc' | undefined
  readonly offset: number
  readonly limit: number
}

export type RowPage = { readonly items: AppRow[]; readonly total: number }

type Key = string | number | null

const PHASE_ORDER: Readonly<Record<RowPhase, number>> = {
  stuck: 0,
  crashed: 1,
  unknown: 2,
  waking: 3,
  awake: 4,
  frozen: 5,
  suspended: 6,
  stopping: 7,
  asleep: 8,
}

const KEYS: Readonly<Record<RowSort, (row: AppRow) => Key>> = {
  name: ({ app }) => app,
  phase: ({ phase }) => PHASE_ORDER[phase],
  since: ({ since }) => since,
  node: ({ node }) => node,
  cost: ({ month }) => month?.cost ?? null,
  awake: ({ month }) => month?.awakeSeconds ?? null,
  volume: ({ volume }) => volume?.usedBytes ?? volume?.sizeBytes ?? null,
  owner: ({ owner }) => owner,
}

/** Pages of the rows of an index. Each order is made when somebody asks for it, and kept while no row changes. */
export class RowPages {
  readonly #index: OverviewIndex
  readonly #sorted = new Map<string, { readonly version: number; readonly rows: readonly AppRow[] }>()
  #counted: { readonly version: number; readonly of: Map<string, RowCounts> } | undefined

  constructor(index: OverviewIndex) {
    this.#index = index
  }

  page({ sort = 'name', order = 'asc', offset, limit, ...wanted }: RowQuery, scope: Scope | undefined): RowPage {
    const matches = this.#filter(wanted, scope)
    const items: AppRow[] = []
    let total = 0
    for (const row of this.#inOrder(sort, order)) {
      if (!matches(row)) continue
      if (total >= offset && items.length < limit) items.push(row)
      total++
    }
    return { items, total }
  }

  /** How many apps there are in the scope. */
  counts(scope: Scope | undefined): RowCounts {
    const { version } = this.#index
    if (this.#counted?.version !== version) this.#counted = { version, of: new Map() }
    const key = JSON.stringify(scope ?? null)
    const known = this.#counted.of.get(key)
    if (known !== undefined) return known
    const counts = countsOf(this.#index.rows.values(), scope)
    this.#counted.of.set(key, counts)
    return counts
  }

  /** The owners of apps in the scope. */
  owners(scope: Scope | undefined): string[] {
    const found = new Set<string>()
    for (const { app, owner } of this.#index.rows.values()) if (owner !== null && isShown(scope, app)) found.add(owner)
    return [...found].sort()
  }

  /** The nodes of apps in the scope. */
  nodes(scope: Scope): string[] {
    const found = new Set<string>()
    for (const { app, node } of this.#index.rows.values()) if (node !== null && isShown(scope, app)) found.add(node)
    return [...found].sort()
  }

  #inOrder(sort: RowSort, order: 'asc' | 'desc'): readonly AppRow[] {
    const key = `${sort} ${order}`
    const { version, rows } = this.#index
    const known = this.#sorted.get(key)
    if (known?.version === version) return known.rows
    const sorted = sortedRows(rows.values(), KEYS[sort], order === 'asc' ? 1 : -1)
    this.#sorted.set(key, { version, rows: sorted })
    return sorted
  }

  #filter(wanted: Pick<RowQuery, 'search' | 'phase' | 'owner' | 'node'>, scope: Scope | undefined) {
    const { phase, owner, node } = wanted
    const search = wanted.search?.trim().toLowerCase() ?? ''
    // Whoever looks for one by its name finds it.
    const hidesSessions = phase !== 'session' && !search.includes('--')
    return (row: AppRow): boolean =>
      isShown(scope, row.app) &&
      !(hidesSessions && isSession(row)) &&
      (phase === undefined || isIn(row, phase)) &&
      (owner === undefined || row.owner === owner) &&
      (node === undefined || row.node === node) &&
      (search === '' || this.#has(row, search))
  }

  #has({ app, owner, node, url }: AppRow, search: string): boolean {
    const text = this.#index.factsOf(app)?.text ?? app
    return (
      text.includes(search) ||
      owner?.toLowerCase().includes(search) === true ||
      node?.includes(search) === true ||
      url?.includes(search) === true
    )
  }
}

function isIn(row: AppRow, phase: RowPhase | RowFlag): boolean {
  if (phase === 'session') return isSession(row)
  if (phase === 'problem') return row.problem !== null
  if (phase === 'parked') return row.isParked
  return phase === 'paused' ? row.isPaused : row.phase === phase
}

const isSession = ({ app }: AppRow): boolean => app.includes('--') && sessionParts(app) !== undefined

export const isShown = (scope: Scope | undefined, app: string): boolean => scope === undefined || isInScope(scope, app)

/** Rows without a value come last in both orders; rows with the same value are in the order of their names. */
function sortedRows(rows: Iterable<AppRow>, keyOf: (row: AppRow) => Key, sign: 1 | -1): readonly AppRow[] {
  const keyed = Array.from(rows, row => ({ row, key: keyOf(row) }))
  keyed.sort((a, b) => {
    if (a.key !== b.key) {
      if (a.key === null) return 1
      if (b.key === null) return -1
      return a.key < b.key ? -sign : sign
    }
    return a.row.app < b.row.app ? -1 : 1
  })
  return keyed.map(({ row }) => row)
}

function countsOf(rows: Iterable<AppRow>, scope: Scope | undefined): RowCounts {
  const counts: Record<string, number> = Object.fromEntries(['all', ...ROW_FLAGS, ...ROW_PHASES].map(name => [name, 0]))
  const add = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1
  }
  for (const row of rows) {
    if (!isShown(scope, row.app)) continue
    if (isSession(row)) {
      add('session')
      continue
    }
    add('all')
    add(row.phase)
    for (const flag of ROW_FLAGS) if (isIn(row, flag)) add(flag)
  }
  return counts as RowCounts
}
