import { useEffect, useState } from 'preact/hooks'
import type { ApiError } from '../../api.ts'
import { CommandLine } from '../../components/command-line.tsx'
import { Empty } from '../../components/empty.tsx'
import { Failure } from '../../components/failure.tsx'
import { toast } from '../../components/toasts.tsx'
import { sayAbsolute } from '../../format.ts'
import { setQuery, usePlace } from '../../router.ts'
import { useIsNarrow } from '../../use-narrow.ts'
import { downloadLog } from './logs/download.ts'
import { commandOf, findPattern, type LogAsked, queryOf, SINCE, STREAMS } from './logs/log-query.ts'
import { LogPane } from './logs/pane.tsx'
import { useInstances } from './logs/use-instances.ts'
import { type ShownLog, useLog } from './logs/use-log.ts'
import type { TabProps } from './tab-props.ts'

/** The log of an app, past and live. Reading it wakes nothing. */
export function LogsTab({ app: { name, scale } }: TabProps) {
  const { query } = usePlace()
  const given = (parameter: string): string => query.get(parameter) ?? ''
  const asked: LogAsked = {
    text: given('q'),
    isPattern: given('pattern') === '1',
    since: given('since'),
    until: given('until'),
    instance: given('instance'),
  }
  const isLive = given('live') !== '0'
  const streams = given('streams').split(',').filter(Boolean)
  // On a phone, times take the room of the lines.
  const isNarrow = useIsNarrow()
  const hasTimes = given('times') === '' ? !isNarrow : given('times') === '1'
  const log = useLog(name, asked, isLive)
  const classes = [
    given('wrap') === '0' ? 'no-wrap' : 'wrap',
    !hasTimes && 'no-times',
    ...(streams.length === 0 ? [] : STREAMS.filter(stream => !streams.includes(stream)).map(stream => `no-${stream}`)),
  ]
  return (
    <div class="logs">
      <h2 class="unseen">Logs</h2>
      <div class="filters">
        <Search asked={asked} />
        <When asked={asked} />
        {scale !== undefined && <Instances app={name} chosen={asked.instance} />}
        <Streams chosen={streams} />
      </div>
      <div class="log-bar">
        <State log={log} isLive={isLive} />
        <Switch text="Live" name="live" isOn={isLive} />
        <Switch text="Wrap lines" name="wrap" isOn={given('wrap') !== '0'} />
        <Switch text="Times" name="times" isOn={hasTimes} />
        <Download app={name} asked={asked} streams={streams} />
      </div>
      {log.error && <Failure error={log.error} />}
      {log.count === 0 && log.state !== 'reading' && !log.error ? (
        <Nothing
          app={name}
          isFiltered={asked.text !== '' || asked.since + asked.until !== '' || asked.instance !== ''}
        />
      ) : (
        <LogPane app={name} log={log} classes={classes.filter(Boolean).join(' ')} found={findPattern(asked)} />
      )}
      <CommandLine command={commandOf(name, asked, isLive)} />
    </div>
  )
}

const AFTER_TYPING_MS = 300

function Search({ asked: { text, isPattern } }: { asked: LogAsked }) {
  const [typed, setTyped] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => typed !== text && setQuery({ q: typed }), AFTER_TYPING_MS)
    return () => clearTimeout(timer)
  }, [typed])
  return (
    <>
      <input
        type="search"
        aria-label="Search the log"
        placeholder={isPattern ? 'Pattern, such as error|warn' : 'Text in a line'}
        value={typed}
        onInput={event => setTyped(event.currentTarget.value)}
        spellcheck={false}
      />
      <button
        type="button"
        class="chip"
        aria-pressed={isPattern}
        title="A regular expression in the syntax of RE2"
        onClick={() => setQuery({ pattern: isPattern ? '' : '1' })}
      >
        Pattern
      </button>
    </>
  )
}

function When({ asked: { since, until } }: { asked: LogAsked }) {
  const isListed = until === '' && SINCE.some(([value]) => value === since)
  return (
    <select
      aria-label="Since when"
      value={isListed ? since : 'other'}
      onChange={event => setQuery({ since: event.currentTarget.value, until: '' })}
    >
      {!isListed && (
        <option value="other">
          {sayMoment(since)}
          {until !== '' && ` to ${sayMoment(until)}`}
        </option>
      )}
      {SINCE.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  )
}

/** A time as people say it; what is no time, such as `90m`, stays as it is. */
function sayMoment(text: string): string {
  const at = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? text : sayAbsolute(at)
}

const STREAM_WORDS = { stdout: 'Output', stderr: 'Errors', shadow: 'Shadow' } as const

function Streams({ chosen }: { chosen: readonly string[] }) {
  const toggle = (stream: string): void => {
    const next = chosen.includes(stream) ? chosen.filter(other => other !== stream) : [...chosen, stream]
    setQuery({ streams: next.length === STREAMS.length ? '' : next.join() })
  }
  return (
    <fieldset class="chips">
      <legend class="unseen">Only lines of</legend>
      {STREAMS.map(stream => (
        <button
          type="button"
          key={stream}
          class="chip"
          aria-pressed={chosen.includes(stream)}
          title={stream === 'shadow' ? 'Lines of Shadow about the app' : stream}
          onClick={() => toggle(stream)}
        >
          {STREAM_WORDS[stream]}
        </button>
      ))}
    </fieldset>
  )
}

function Instances({ app, chosen }: { app: string; chosen: string }) {
  const instances = useInstances(app)
  return (
    <select
      aria-label="Which instance"
      value={chosen}
      onChange={event => setQuery({ instance: event.currentTarget.value })}
    >
      <option value="">All instances</option>
      {[...new Set([...instances, ...(chosen === '' ? [] : [chosen])])].map(instance => (
        <option key={instance}>{instance}</option>
      ))}
    </select>
  )
}

/** A switch of what the page shows. */
function Switch({ text, name, isOn }: { text: string; name: string; isOn: boolean }) {
  return (
    <label class="switch">
      <input type="checkbox" checked={isOn} onChange={() => setQuery({ [name]: isOn ? '0' : '1' })} />
      {text}
    </label>
  )
}

const STATES = {
  reading: 'Reading…',
  live: 'Live',
  lost: 'The connection was lost; trying again',
  ended: 'Read',
} as const

function State({ log: { state, count, dropped }, isLive }: { log: ShownLog; isLive: boolean }) {
  const text = state === 'live' && !isLive ? STATES.reading : STATES[state]
  return (
    <span class={`log-state ${state}`}>
      <span role="status">{text}</span>
      <span class="faint num">
        {' · '}
        {dropped > 0 ? `the last ${count}` : count} {count === 1 ? 'line' : 'lines'}
      </span>
    </span>
  )
}

function Download({ app, asked, streams }: { app: string; asked: LogAsked; streams: readonly string[] }) {
  const [isBusy, setBusy] = useState(false)
  const run = async (): Promise<void> => {
    setBusy(true)
    await downloadLog(app, queryOf(asked), streams).catch((error: ApiError) => toast(error.message, 'failed'))
    setBusy(false)
  }
  return (
    <button type="button" class="quiet" onClick={run} disabled={isBusy}>
      {isBusy ? 'Reading…' : 'Download'}
    </button>
  )
}

function Nothing({ app, isFiltered }: { app: string; isFiltered: boolean }) {
  if (isFiltered)
    return (
      <Empty title="No line matches">
        <button type="button" onClick={() => setQuery({ q: '', since: '', until: '', instance: '', pattern: '' })}>
          Show all lines
        </button>
      </Empty>
    )
  return (
    <Empty title="No lines yet">
      <p>What the app writes to its output appears here. Reading the log does not wake it; this does:</p>
      <CommandLine command={`shadow wake ${app}`} />
    </Empty>
  )
}
