import { asCsv, rowsOf } from '../../api/usage-rows.ts'
import { call } from '../api.ts'
import { CommandLine } from '../components/command-line.tsx'
import { Empty } from '../components/empty.tsx'
import { Failure } from '../components/failure.tsx'
import { Heading } from '../components/heading.tsx'
import { Section } from '../components/section.tsx'
import { Time } from '../components/time.tsx'
import type { PageProps } from '../page-props.ts'
import { setQuery, usePlace } from '../router.ts'
import { useCall } from '../use-call.ts'
import { BudgetsSection } from './usage/budgets.tsx'
import { downloadText } from './usage/download.ts'
import { lastMonths, sayMonth } from './usage/months.ts'
import { Sums } from './usage/sums.tsx'
import { UsageTable } from './usage/table.tsx'

const MONTHS_SHOWN = 13

/** What apps have used in a month, beside what they would have used if they had never slept. */
export function UsagePage(_: PageProps) {
  const { query } = usePlace()
  const month = query.get('month') ?? ''
  const by = query.get('by') === 'owner' ? 'owner' : 'app'
  const loaded = useCall(signal => call('getUsage', { query: month === '' ? {} : { month }, signal }), [month])
  const { value, error } = loaded
  const months = lastMonths(new Date(), MONTHS_SHOWN)
  const [newest = ''] = months
  const rows = value && rowsOf(value.items, by)
  return (
    <>
      <Heading title="Usage">
        <select
          aria-label="Month"
          value={month || newest}
          onChange={({ currentTarget: { value: chosen } }) =>
            setQuery({ month: chosen === newest ? undefined : chosen })
          }
        >
          {(months.includes(month) || month === '' ? months : [month, ...months]).map(one => (
            <option key={one} value={one}>
              {sayMonth(one)}
            </option>
          ))}
        </select>
        <button
          type="button"
          disabled={value === undefined || value.items.length === 0}
          onClick={() => value && downloadText(`usage-${value.month}.csv`, 'text/csv', asCsv(value))}
        >
          Download CSV
        </button>
      </Heading>
      {error && <Failure error={error} retry={loaded.reload} />}
      <Sums all={rows?.find(({ name }) => name === 'all') ?? rows?.[0]} currency={value?.currency ?? null} />
      <Section
        title={by === 'app' ? 'By app' : 'By owner'}
        says={
          value && (
            <>
              {sayMonth(value.month)} of UTC, counted <Time at={value.until} />
            </>
          )
        }
        actions={
          <fieldset class="chips">
            <legend class="unseen">A row for each</legend>
            {(['app', 'owner'] as const).map(what => (
              <button
                key={what}
                type="button"
                class="chip"
                aria-pressed={by === what}
                onClick={() => setQuery({ by: what === 'app' ? undefined : what })}
              >
                {what === 'app' ? 'Apps' : 'Owners'}
              </button>
            ))}
          </fieldset>
        }
      >
        {rows && rows.length > 0 && <UsageTable rows={rows} by={by} currency={value.currency} />}
        {rows?.length === 0 && (
          <Empty title={`No app has used anything in ${sayMonth(value?.month ?? month)}`}>
            <p>An app that sleeps uses its stored bytes alone, which are counted every ten minutes.</p>
          </Empty>
        )}
        <CommandLine
          command={`shadow usage${month === '' ? '' : ` --month ${month}`}${by === 'owner' ? ' --by owner' : ''}`}
        />
      </Section>
      <BudgetsSection />
    </>
  )
}
