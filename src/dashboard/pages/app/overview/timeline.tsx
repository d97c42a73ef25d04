import type { App } from '../../../../model/app.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { Empty } from '../../../components/empty.tsx'
import { Failure } from '../../../components/failure.tsx'
import { useNow } from '../../../components/time.tsx'
import { setQuery, usePlace } from '../../../router.ts'
import { EventRow } from './event-row.tsx'
import { KIND_GROUPS, kindsOf, toggled } from './kinds.ts'
import { statesOf } from './states.ts'
import { daysOf } from './timeline-days.ts'
import { useTimeline } from './use-timeline.ts'

/** What happened to the app: wakes, sleeps, crashes, releases, snapshots. */
export function AppTimeline({ app }: { app: App }) {
  const chosen = usePlace().query.get('events') ?? ''
  const kinds = kindsOf(chosen)
  const { pages, error, isLoading, loadOlder, reload } = useTimeline(app.name, kinds)
  return (
    <section class="timeline" aria-labelledby="timeline-title">
      <div class="overview-head">
        <h2 id="timeline-title">Timeline</h2>
        <fieldset class="chips">
          <legend class="unseen">Which events</legend>
          <Chip text="All" isOn={kinds === undefined} choose={() => setQuery({ events: '' })} />
          {KIND_GROUPS.map(({ name, text }) => (
            <Chip
              key={name}
              text={text}
              isOn={chosen.split(',').includes(name)}
              choose={() => setQuery({ events: toggled(chosen, name) })}
            />
          ))}
        </fieldset>
      </div>
      {error && <Failure error={error} retry={reload} />}
      {pages !== undefined && pages.silent.length > 0 && (
        <p class="note" role="status">
          {pages.silent.join(', ')} {pages.silent.length === 1 ? 'does' : 'do'} not answer: what happened there is
          missing.
        </p>
      )}
      {pages?.items.length === 0 && <Nothing app={app.name} isFiltered={kinds !== undefined} />}
      {pages === undefined && !error && <p class="loading faint">Reading…</p>}
      {pages !== undefined && pages.items.length > 0 && (
        <Days app={app} events={pages.items} isWhole={kinds === undefined} />
      )}
      {pages !== undefined && pages.next !== null && (
        <button type="button" onClick={loadOlder} disabled={isLoading}>
          {isLoading ? 'Reading…' : 'Show older events'}
        </button>
      )}
    </section>
  )
}

function Chip({ text, isOn, choose }: { text: string; isOn: boolean; choose: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed={isOn} onClick={choose}>
      {text}
    </button>
  )
}

type DaysProps = { readonly app: App; readonly events: Parameters<typeof daysOf>[0]; readonly isWhole: boolean }

function Days({ app, events, isWhole }: DaysProps) {
  const now = useNow()
  // Of several instances, or of some kinds of events alone, there is no one state.
  const isOne = isWhole && app.scale === undefined
  const states = statesOf(isOne ? events : [])
  const indexes = new Map(events.map(({ id }, index) => [id, index]))
  const about = { revision: app.task.revision, idleAfter: app.task.sleep.idleAfter }
  return (
    <>
      {daysOf(events, now).map(({ key, label, events }) => (
        <div key={key} class="day">
          <h3>{label}</h3>
          <ol>
            {events.map(event => {
              const at = indexes.get(event.id) ?? 0
              return (
                <EventRow
                  key={event.id}
                  app={app.name}
                  event={event}
                  now={about}
                  before={states.after[at + 1]}
                  after={states.after[at]}
                  lastedMs={states.lastedMs.get(event.id)}
                />
              )
            })}
          </ol>
        </div>
      ))}
    </>
  )
}

function Nothing({ app, isFiltered }: { app: string; isFiltered: boolean }) {
  if (isFiltered)
    return (
      <Empty title="No such events">
        <button type="button" onClick={() => setQuery({ events: '' })}>
          Show all events
        </button>
      </Empty>
    )
  return (
    <Empty title="Nothing has happened yet">
      <p>The first request to one of its hostnames wakes the app. So does:</p>
      <CommandLine command={`shadow wake ${app}`} />
    </Empty>
  )
}
