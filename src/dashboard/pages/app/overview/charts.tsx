import { useEffect } from 'preact/hooks'
import type { AppRow } from '../../../../model/overview.ts'
import { call } from '../../../api.ts'
import { Failure } from '../../../components/failure.tsx'
import { sayBytes, sayCount, sayDuration, sayMs } from '../../../format.ts'
import { setQuery, usePlace } from '../../../router.ts'
import { useCall } from '../../../use-call.ts'
import { Chart } from './chart.tsx'
import { RANGES, type Range, sayAwake } from './chart-words.ts'

const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

type Props = { readonly app: string; readonly row: AppRow | undefined }

/** A node writes what it has measured some seconds later. */
const AFTER_CHANGE_MS = 3_000

/** Requests, latency, memory and processor time of an app over an hour to a month. */
export function Charts({ app, row }: Props) {
  const name = usePlace().query.get('range')
  const range = RANGES.find(range => range.name === name) ?? RANGES[0]
  // Of another range, what was read before is no picture of this one.
  return <ChartsOf key={`${app} ${range.name}`} app={app} row={row} range={range} />
}

function ChartsOf({ app, row, range }: Props & { readonly range: Range }) {
  const {
    value: series,
    error,
    reload,
  } = useCall(
    signal => {
      const to = new Date()
      const from = new Date(to.getTime() - range.seconds * 1_000)
      const query = { from: from.toISOString(), to: to.toISOString(), points: range.points }
      return call('getSeries', { params: { app }, query, signal })
    },
    [app, range],
    { everyMs: range.everyMs },
  )
  useEffect(() => {
    const timer = setTimeout(reload, AFTER_CHANGE_MS)
    return () => clearTimeout(timer)
  }, [row?.phase, row?.since, reload])
  const sayTime = (seconds: number): string => {
    const at = seconds * 1_000
    return range.seconds <= 86_400 ? time.format(at) : date.format(at)
  }
  const sayMoment = (seconds: number): string =>
    range.seconds <= 86_400
      ? time.format(seconds * 1_000)
      : `${date.format(seconds * 1_000)} ${time.format(seconds * 1_000)}`
  const parts = { series, sayTime, sayMoment }
  return (
    <section class="charts" aria-labelledby="charts-title">
      <div class="overview-head">
        <h2 id="charts-title">Use</h2>
        <span class="faint charts-awake">
          {series && (
            <>
              <span class="key key-awake" aria-hidden="true" /> {sayAwake(series, sayDuration)}
            </>
          )}
        </span>
        <fieldset class="chips">
          <legend class="unseen">How far back</legend>
          {RANGES.map(({ name, text }) => (
            <button
              type="button"
              key={name}
              class="chip"
              aria-pressed={name === range.name}
              onClick={() => setQuery({ range: name === 'hour' ? '' : name })}
            >
              {text}
            </button>
          ))}
        </fieldset>
      </div>
      {error && <Failure error={error} retry={reload} />}
      <div class="charts-grid card">
        <Chart
          {...parts}
          title={`Requests per ${series === undefined ? 'step' : sayDuration(series.stepSeconds)}`}
          atLeast={4}
          say={value => sayCount(Math.round(value))}
          lines={[
            { name: 'all', values: series?.requests ?? [], colour: '--accent', kind: 'bars' },
            { name: 'failed', values: series?.errors ?? [], colour: '--bad', kind: 'bars' },
          ]}
        />
        <Chart
          {...parts}
          title="Latency"
          atLeast={10}
          say={sayMs}
          lines={[
            { name: 'p50', values: series?.p50Ms ?? [], colour: '--accent', kind: 'line' },
            { name: 'p95', values: series?.p95Ms ?? [], colour: '--waking', kind: 'line' },
          ]}
        />
        <Chart
          {...parts}
          title="Memory"
          isBytes
          atLeast={1_048_576}
          say={sayBytes}
          lines={[{ name: 'most in use', values: series?.memoryBytes ?? [], colour: '--accent', kind: 'area' }]}
        />
        <Chart
          {...parts}
          title="Processor"
          atLeast={5}
          say={value => `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} %`}
          lines={[{ name: 'of one', values: series?.cpuPercent ?? [], colour: '--accent', kind: 'area' }]}
        />
      </div>
    </section>
  )
}
