import { useState } from 'preact/hooks'
import type { AppRow } from '../../../model/overview.ts'
import { type ApiError, call } from '../../api.ts'
import { Link } from '../../components/link.tsx'
import { Phase } from '../../components/phase.tsx'
import { Countdown, Since } from '../../components/time.tsx'
import { toast } from '../../components/toasts.tsx'
import { WeekStrip } from '../../components/week-strip.tsx'
import { sayDuration, sayMoney } from '../../format.ts'

type Props = {
  readonly row: AppRow | undefined
  readonly hours: readonly number[] | undefined
  readonly currency: string | null
}

/** The cells of one app in the list; empty ones until it is read. */
export function AppRowCells({ row, hours, currency }: Props) {
  if (row === undefined) return <Cell class="cell-name loading">…</Cell>
  return (
    <>
      <Cell class="cell-name">
        <Link to={`/apps/${row.app}`} class="app-name" title={row.app}>
          {row.app}
        </Link>
        {row.url !== null && (
          <a class="url faint" href={row.url} target="_blank" rel="noreferrer" title={`Open ${row.url}: wakes the app`}>
            {row.url.replace(/^https?:\/\/|\/$/g, '')}
          </a>
        )}
      </Cell>
      <Cell class="cell-state">
        <span class="state-line">
          <Phase of={row} />
          {row.since !== null && (
            <span class="faint">
              <Since at={row.since} />
            </span>
          )}
        </span>
        <span class="because faint" title={row.problem?.detail ?? row.because ?? undefined}>
          {row.sleepsAt !== null && (
            <span class="sleeps">
              Sleeps in <Countdown to={row.sleepsAt} />.{' '}
            </span>
          )}
          {row.problem !== null ? (
            <strong class="bad">{row.problem.code}</strong>
          ) : (
            (row.because ?? row.lastCause ?? '')
          )}
        </span>
      </Cell>
      <Cell class="cell-node faint">
        {row.node ?? '–'}
        {row.instances > 1 && ` · ${row.awake}/${row.instances}`}
      </Cell>
      <Cell class="cell-week">
        <WeekStrip hours={hours} />
      </Cell>
      <Cell class="cell-month">
        <Month row={row} currency={currency} />
      </Cell>
      <Cell class="cell-actions">
        <WakeOrSleep row={row} />
      </Cell>
    </>
  )
}

function Cell({ class: name, children }: { class: string; children: preact.ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: the rows of this table are placed by themselves
    <span role="cell" class={name}>
      {children}
    </span>
  )
}

function Month({ row: { month }, currency }: { row: AppRow; currency: string | null }) {
  if (month === null) return <span class="faint">–</span>
  if (month.cost === null || month.alwaysOnCost === null)
    return <span class="num">{sayDuration(month.awakeSeconds)} awake</span>
  return (
    <>
      <span class="num">{sayMoney(month.cost, currency)}</span>
      <span class="num faint always-on">{sayMoney(month.alwaysOnCost, null)} if always on</span>
    </>
  )
}

function WakeOrSleep({ row: { app, phase, isPaused } }: { row: AppRow }) {
  const [isBusy, setBusy] = useState(false)
  if (isPaused) return null
  const canSleep = ['awake', 'frozen', 'suspended'].includes(phase)
  const verb = canSleep ? 'sleep' : phase === 'asleep' || phase === 'crashed' ? 'wake' : undefined
  if (verb === undefined) return null
  const run = async (): Promise<void> => {
    setBusy(true)
    await call(verb === 'wake' ? 'wakeApp' : 'sleepApp', { params: { app } }).then(
      () => toast(verb === 'wake' ? `${app} is awake` : `${app} sleeps`),
      (error: ApiError) => toast(`${app}: ${error.message}`, 'failed'),
    )
    setBusy(false)
  }
  return (
    <button
      type="button"
      class="quiet"
      onClick={run}
      disabled={isBusy}
      aria-label={`${verb} ${app}`}
      title={`shadow ${verb} ${app}`}
    >
      {isBusy ? '…' : verb === 'wake' ? 'Wake' : 'Sleep'}
    </button>
  )
}
