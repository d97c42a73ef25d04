import type { Row } from '../../../api/usage-rows.ts'
import { Link } from '../../components/link.tsx'
import { sayBytes, sayCount } from '../../format.ts'
import { setQuery, usePlace } from '../../router.ts'
import { sayCost, sayGiBHours, sayHours, sayShare } from './words.ts'

type Column = {
  readonly key: string
  readonly word: string
  /** What the column is sorted by. */
  readonly by: (row: Row) => number
  readonly say: (row: Row) => string
}

const COLUMNS: readonly Column[] = [
  { key: 'awake', word: 'Awake', by: row => row.awakeSeconds, say: row => sayHours(row.awakeSeconds) },
  {
    key: 'share',
    word: 'Of always on',
    by: row => row.awakeSeconds / (row.alwaysOn?.awakeSeconds || Number.POSITIVE_INFINITY),
    say: row => sayShare(row.awakeSeconds, row.alwaysOn?.awakeSeconds),
  },
  {
    key: 'memory',
    word: 'Memory',
    by: row => row.memoryGiBSeconds,
    say: row => sayGiBHours(row.memoryGiBSeconds / 3_600),
  },
  { key: 'cpu', word: 'Processor', by: row => row.cpuSeconds, say: row => sayHours(row.cpuSeconds) },
  { key: 'volume', word: 'Volume', by: row => row.volumeGiBHours, say: row => sayGiBHours(row.volumeGiBHours) },
  { key: 'backups', word: 'Backups', by: row => row.backupGiBHours, say: row => sayGiBHours(row.backupGiBHours) },
  { key: 'requests', word: 'Requests', by: row => row.requests, say: row => sayCount(row.requests) },
  { key: 'sent', word: 'Sent', by: row => row.egressBytes, say: row => sayBytes(row.egressBytes) },
]

const money = (amount: number | null): string => (amount === null ? '–' : sayCost(amount))
const costs = (currency: string): readonly Column[] => [
  { key: 'cost', word: `Cost (${currency})`, by: row => row.cost ?? 0, say: row => money(row.cost) },
  { key: 'always', word: 'Always on', by: row => row.alwaysOnCost ?? 0, say: row => money(row.alwaysOnCost) },
  {
    key: 'saved',
    word: 'Saved',
    by: row => (row.alwaysOnCost ?? row.cost ?? 0) - (row.cost ?? 0),
    say: ({ cost, alwaysOnCost }) =>
      cost === null || alwaysOnCost === null ? '–' : sayShare(alwaysOnCost - cost, alwaysOnCost),
  },
]

type Props = { readonly rows: readonly Row[]; readonly by: 'app' | 'owner'; readonly currency: string | null }

/** One row for each app or owner, sorted by `?sort=` and `?order=`, and one with the sum. */
export function UsageTable({ rows, by, currency }: Props) {
  const { query } = usePlace()
  const sort = query.get('sort') ?? 'name'
  const isDescending = (query.get('order') ?? (sort === 'name' ? 'asc' : 'desc')) === 'desc'
  const columns = currency === null ? COLUMNS : [...COLUMNS, ...costs(currency)]
  const column = columns.find(({ key }) => key === sort)
  const ordered = rows
    .filter(({ name }) => rows.length === 1 || name !== 'all')
    .toSorted(
      (a, b) => (column ? column.by(a) - column.by(b) : a.name.localeCompare(b.name)) || (a.name < b.name ? -1 : 1),
    )
  if (isDescending) ordered.reverse()
  const sum = rows.length > 1 ? rows.at(-1) : undefined
  const head = (key: string, word: string, kind?: string) => {
    const isBy = (column?.key ?? 'name') === key
    const usual = key === 'name' ? 'asc' : 'desc'
    const order = isBy ? (isDescending ? 'asc' : 'desc') : usual
    return (
      <th key={key} scope="col" class={kind} aria-sort={isBy ? (isDescending ? 'descending' : 'ascending') : 'none'}>
        <button type="button" class="sort" onClick={() => setQuery({ sort: key, order })}>
          {word}
          <span aria-hidden="true">{isBy ? (isDescending ? ' ↓' : ' ↑') : ''}</span>
        </button>
      </th>
    )
  }
  return (
    <div class="table-scroll">
      <table class="table usage-table">
        <caption class="unseen">Usage by {by}</caption>
        <thead>
          <tr>
            {head('name', by === 'app' ? 'App' : 'Owner')}
            {columns.map(({ key, word }) => head(key, word, 'num'))}
          </tr>
        </thead>
        <tbody>
          {ordered.map(row => (
            <tr key={row.name}>
              <th scope="row" class="wraps">
                {by === 'app' && row.alwaysOn !== null ? <Link to={`/apps/${row.name}`}>{row.name}</Link> : row.name}
                {by === 'app' && row.alwaysOn === null && <span class="faint"> removed</span>}
                {by === 'owner' && row.name === '-' && <span class="faint"> nobody’s</span>}
              </th>
              {columns.map(({ key, say }) => (
                <td key={key} class="num">
                  {say(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {sum && (
          <tfoot>
            <tr>
              <th scope="row">All</th>
              {columns.map(({ key, say }) => (
                <td key={key} class="num">
                  {say(sum)}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  )
}
