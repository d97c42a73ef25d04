import { sumOfUsage, USAGE_COUNTERS, type UsageCounters } from '../model/usage.ts'
import type { CallAnswer } from './call-shape.ts'
import type { usageCalls } from './usage-calls.ts'

export type MonthUsage = CallAnswer<typeof usageCalls.getUsage>
type Item = MonthUsage['items'][number]

/** A row of the table: an app, an owner, or all of them. */
export type Row = UsageCounters & Pick<Item, 'alwaysOn' | 'cost' | 'alwaysOnCost'> & { readonly name: string }

/** One row for each app, or each owner; and, of several, one with the sum. */
export function rowsOf(items: readonly Item[], by: 'app' | 'owner'): readonly Row[] {
  const groups = Map.groupBy(items, ({ app, owner }) => (by === 'app' ? app : (owner ?? '-')))
  const rows = [...groups].toSorted(([a], [b]) => a.localeCompare(b)).map(([name, of]) => sumOf(name, of))
  return rows.length < 2 ? rows : [...rows, sumOf('all', rows)]
}

function sumOf(name: string, of: readonly Omit<Row, 'name'>[]): Row {
  const [only] = of
  const counters = of.reduce((all, one) => sumOfUsage(all, one), sumOfUsage({}, {}))
  if (only !== undefined && of.length === 1) {
    const { alwaysOn, cost, alwaysOnCost } = only
    return { ...counters, name, alwaysOn, cost, alwaysOnCost }
  }
  // An app that was removed would have used what it has used.
  const sum = (field: 'awakeSeconds' | 'memoryGiBSeconds'): number =>
    of.reduce((all, row) => all + (row.alwaysOn ?? row)[field], 0)
  const total = (costs: readonly (number | null)[]): number | null =>
    costs.includes(null) ? null : costs.reduce<number>((all, cost) => all + (cost ?? 0), 0)
  return {
    ...counters,
    name,
    cost: total(of.map(({ cost }) => cost)),
    alwaysOnCost: total(of.map(({ cost, alwaysOnCost }) => alwaysOnCost ?? cost)),
    alwaysOn: { awakeSeconds: sum('awakeSeconds'), memoryGiBSeconds: sum('memoryGiBSeconds') },
  }
}

const COLUMNS = [
  'month',
  'app',
  'owner',
  ...USAGE_COUNTERS,
  'alwaysOnAwakeSeconds',
  'alwaysOnMemoryGiBSeconds',
  'cost',
  'alwaysOnCost',
  'currency',
]

/** One line for each app, without sums (RFC 4180). No value needs quotes. */
export function asCsv({ month, items, currency }: MonthUsage): string {
  const lines = items.map(({ app, owner, alwaysOn, cost, alwaysOnCost, ...used }) => [
    ...[month, app, owner ?? ''],
    ...USAGE_COUNTERS.map(name => used[name]),
    ...[alwaysOn?.awakeSeconds ?? '', alwaysOn?.memoryGiBSeconds ?? ''],
    ...[cost ?? '', alwaysOnCost ?? '', currency ?? ''],
  ])
  return [COLUMNS, ...lines].map(line => `${line.join(',')}\r\n`).join('')
}
