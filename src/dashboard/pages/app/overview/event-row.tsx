import type { ComponentChildren } from 'preact'
import type { AppEvent } from '../../../../model/timeline.ts'
import { Icon } from '../../../components/icon.tsx'
import { Link } from '../../../components/link.tsx'
import { sayAbsolute, sayDuration, sayMs } from '../../../format.ts'
import { logAround } from '../logs/log-query.ts'
import { type AppNow, detailOf, wordsOf } from './event-words.ts'
import type { State } from './states.ts'
import { Waterfall } from './waterfall.tsx'

type Props = {
  readonly app: string
  readonly event: AppEvent
  readonly now: AppNow
  /** The state before this event, which colours the line that leads to it. */
  readonly before: State | undefined
  readonly after: State | undefined
  /** How long the state after the event lasted. */
  readonly lastedMs: number | undefined
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

/** One event of a timeline. A wake opens its waterfall, and what has more to say opens it. */
export function EventRow({ app, event, now, before, after, lastedMs }: Props) {
  const detail = detailOf(event)
  const { tone } = wordsOf(event, now)
  const { steps, ms } = event
  const hasSteps = steps !== undefined && steps.length > 0
  const hasLog = tone === 'bad' && event.node !== undefined
  const isOpened = hasSteps || hasLog || detail !== undefined
  const release = RELEASE_KINDS.includes(event.kind) && event.revision !== undefined && (
    <Link to={`/apps/${app}/releases`}>release {event.revision}</Link>
  )
  // A link cannot stand in what opens the rest.
  const line = (
    <Line app={app} event={event} now={now} after={after} lastedMs={lastedMs} release={isOpened ? false : release} />
  )
  return (
    <li class={`event before-${before ?? 'unknown'} after-${after ?? 'unknown'}`} data-kind={event.kind}>
      {isOpened ? (
        <details>
          <summary>{line}</summary>
          <div class="event-more">
            {detail !== undefined && <pre>{detail}</pre>}
            {release && <p>{release}</p>}
            {hasLog && (
              <p>
                <Link to={logAround(app, event.at)}>The log around that time</Link>
              </p>
            )}
            {hasSteps && <Waterfall steps={steps} ms={ms ?? 0} />}
          </div>
        </details>
      ) : (
        <div class="event-plain">{line}</div>
      )}
    </li>
  )
}

const RELEASE_KINDS: readonly string[] = ['deploy', 'rollback', 'update']

type LineProps = Omit<Props, 'before'> & { readonly release: ComponentChildren }

function Line({ app, event, now, after, lastedMs, release }: LineProps) {
  const { text, tone } = wordsOf(event, now)
  const at = Date.parse(event.at)
  return (
    <span class="event-line">
      <time dateTime={event.at} title={sayAbsolute(at)} class="num faint">
        {clock.format(at)}
      </time>
      <span class={`event-icon tone-${tone}`}>
        <Icon name={event.kind} />
      </span>
      <span class="event-text">
        <span class={tone === 'bad' ? 'bad' : undefined}>{text}</span>{' '}
        <Facts>
          {event.ms !== undefined &&
            event.kind === 'wake' &&
            `${event.outcome === 'failed' ? 'after' : 'in'} ${sayMs(event.ms)}`}
          {lastedMs !== undefined && after !== undefined && `${after} for ${sayDuration(lastedMs / 1_000)}`}
          {event.instance !== undefined && event.instance !== app && event.instance}
          {event.node}
          {release}
        </Facts>
      </span>
    </span>
  )
}

/** Facts with dots between them. */
function Facts({ children }: { children: ComponentChildren }) {
  const facts = (Array.isArray(children) ? children : [children]).filter(Boolean)
  return (
    <span class="event-facts faint num">
      {facts.map((fact, index) => (
        <span key={index}>{fact}</span>
      ))}
    </span>
  )
}
