import { useState } from 'preact/hooks'
import { CommandLine } from '../components/command-line.tsx'
import { Empty } from '../components/empty.tsx'
import { Failure } from '../components/failure.tsx'
import { Heading } from '../components/heading.tsx'
import { Icon } from '../components/icon.tsx'
import { Link } from '../components/link.tsx'
import { VirtualList } from '../components/virtual-list.tsx'
import { sayCount } from '../format.ts'
import type { PageProps } from '../page-props.ts'
import { setQuery, usePlace } from '../router.ts'
import { useActivity } from '../use-activity.ts'
import { type AppRows, type RowsQuery, useAppRows } from '../use-app-rows.ts'
import { useIsNarrow } from '../use-narrow.ts'
import { AppRowCells } from './apps/row.tsx'

const COLUMNS = [
  ['name', 'App'],
  ['since', 'State'],
  ['node', 'Node'],
  ['awake', 'Last 7 days'],
  ['cost', 'This month'],
] as const

const PHASES = [
  ['', 'All', 'all'],
  ['awake', 'Awake', 'awake'],
  ['waking', 'Waking', 'waking'],
  ['frozen', 'Frozen', 'frozen'],
  ['suspended', 'Suspended', 'suspended'],
  ['asleep', 'Asleep', 'asleep'],
  ['parked', 'Parked', 'parked'],
  ['paused', 'Paused', 'paused'],
  ['problem', 'Problems', 'problem'],
  ['session', 'Sessions', 'session'],
] as const

/** The list of all apps. */
export function AppsPage(_: PageProps) {
  const { query } = usePlace()
  const given = (name: string): string => query.get(name) ?? ''
  const asked: RowsQuery = {
    search: given('search'),
    phase: given('phase'),
    owner: given('owner'),
    node: given('node'),
    sort: given('sort') || 'name',
    order: given('order') || 'asc',
  }
  const rows = useAppRows(asked)
  const { facts, error } = rows
  const isFiltered = asked.search !== '' || asked.phase !== '' || asked.owner !== '' || asked.node !== ''
  return (
    <>
      <Heading title="Apps">
        <Link to="/new" class="button primary">
          <Icon name="plus" /> New app
        </Link>
      </Heading>
      <Filters asked={asked} rows={rows} />
      {error && !facts && <Failure error={error} retry={rows.reload} />}
      {facts !== undefined && facts.silent.length > 0 && (
        <p class="note" role="status">
          {facts.silent.join(', ')} {facts.silent.length === 1 ? 'does' : 'do'} not answer: the state of apps there is
          not known.
        </p>
      )}
      {facts?.total === 0 && !isFiltered && <NoApps />}
      {facts?.total === 0 && isFiltered && (
        <Empty title="No app matches">
          <Link to="/">Show all apps</Link>
        </Empty>
      )}
      {(facts === undefined ? !error : facts.total > 0) && <List asked={asked} rows={rows} />}
    </>
  )
}

function Filters({ asked, rows: { facts } }: { asked: RowsQuery; rows: AppRows }) {
  const [text, setText] = useState(asked.search)
  const choose = (name: 'owner' | 'node', all: string, values: readonly string[] | undefined) =>
    values !== undefined &&
    values.length > 1 && (
      <select aria-label={all} value={asked[name]} onChange={event => setQuery({ [name]: event.currentTarget.value })}>
        <option value="">{all}</option>
        {values.map(value => (
          <option key={value}>{value}</option>
        ))}
      </select>
    )
  return (
    <div class="filters">
      <input
        type="search"
        aria-label="Search apps"
        placeholder="Name, hostname, owner or node"
        value={text}
        onInput={event => {
          setText(event.currentTarget.value)
          setQuery({ search: event.currentTarget.value })
        }}
        spellcheck={false}
      />
      <fieldset class="chips">
        <legend class="unseen">Which state</legend>
        {PHASES.map(([phase, word, count]) => (
          <button
            type="button"
            key={phase}
            class={`chip ${phase}`}
            aria-pressed={asked.phase === phase}
            onClick={() => setQuery({ phase })}
          >
            {word} <span class="num faint">{facts ? sayCount(facts.counts[count] ?? 0) : '–'}</span>
          </button>
        ))}
      </fieldset>
      {choose('owner', 'All owners', facts?.owners)}
      {choose('node', 'All nodes', facts?.nodes)}
    </div>
  )
}

function List({ asked, rows }: { asked: RowsQuery; rows: AppRows }) {
  const isNarrow = useIsNarrow()
  const [names, setNames] = useState<readonly string[]>([])
  const activity = useActivity(names)
  const total = rows.facts?.total ?? 12
  const onRange = (first: number, last: number): void => {
    rows.show(first, last)
    const shown = Array.from({ length: last - first }, (_, at) => rows.at(first + at)?.app)
    const next = shown.filter(name => name !== undefined)
    setNames(before => (before.join() === next.join() ? before : next))
  }
  return (
    // A table element cannot hold rows that are placed by themselves.
    // biome-ignore lint/a11y/useSemanticElements: see above
    <div role="table" aria-label="Apps" aria-rowcount={total + 1} class="apps">
      {/* biome-ignore lint/a11y/useSemanticElements: as above */}
      <div role="rowgroup">
        {/* biome-ignore lint/a11y/useSemanticElements: as above */}
        <div role="row" aria-rowindex={1} class="apps-row apps-head" tabIndex={-1}>
          {COLUMNS.map(([sort, word]) => (
            <SortHeader key={sort} sort={sort} word={word} asked={asked} />
          ))}
          {/* biome-ignore lint/a11y/useSemanticElements: as above */}
          <span role="columnheader" class="unseen-head" tabIndex={-1}>
            <span class="unseen">Actions</span>
          </span>
        </div>
      </div>
      <VirtualList
        count={total}
        rowHeight={isNarrow ? 92 : 60}
        onRange={onRange}
        version={rows}
        row={index => (
          <AppRowCells
            row={rows.at(index)}
            hours={activity(rows.at(index)?.app)}
            currency={rows.facts?.currency ?? null}
          />
        )}
      />
    </div>
  )
}

function SortHeader({ sort, word, asked }: { sort: string; word: string; asked: RowsQuery }) {
  const isBy = asked.sort === sort
  const isDescending = asked.order === 'desc'
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table element cannot hold rows that are placed by themselves
    <span role="columnheader" aria-sort={isBy ? (isDescending ? 'descending' : 'ascending') : 'none'} tabIndex={-1}>
      <button
        type="button"
        class="sort"
        onClick={() => setQuery({ sort, order: isBy && !isDescending ? 'desc' : 'asc' })}
      >
        {word}
        <span aria-hidden="true">{isBy ? (isDescending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </span>
  )
}

function NoApps() {
  return (
    <Empty title="No apps yet">
      <p>
        An app costs its stored bytes while it sleeps, and wakes at the first request to its hostname. Make one here, or
        deploy a folder:
      </p>
      <CommandLine command="shadow init && shadow deploy" />
      <Link to="/new" class="button primary">
        <Icon name="plus" /> New app
      </Link>
    </Empty>
  )
}
