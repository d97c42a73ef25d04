import { useEffect, useState } from 'preact/hooks'
import type { TerminalReply } from '../../api/terminal-calls.ts'
import { ApiError, call, sessionEnded } from '../api.ts'
import { CommandLine } from '../components/command-line.tsx'
import { Empty } from '../components/empty.tsx'
import { Failure } from '../components/failure.tsx'
import { Icon } from '../components/icon.tsx'
import { readSession, type Session, session } from '../session.ts'
import { useStore } from '../store.ts'
import { applyTheme, THEMES, theme } from '../theme.ts'
import { useCall } from '../use-call.ts'
import { Screen } from './screen.tsx'

type Started = Extract<TerminalReply, { started: unknown }>['started']
type State =
  | { readonly is: 'new' }
  | { readonly is: 'opening'; readonly wake: boolean }
  | { readonly is: 'open'; readonly wake: boolean; readonly started: Started }
  | { readonly is: 'ended'; readonly wake: boolean; readonly code?: number; readonly error?: ApiError }

/** The window with a terminal in the container of one app. */
export function TerminalPage({ app }: { app: string }) {
  const who = useStore(session)
  const ended = useStore(sessionEnded)
  useEffect(() => {
    document.title = `${app} · terminal · Shadow`
    void readSession()
  }, [app])
  if (who === undefined) return null
  if (who === null || ended !== undefined)
    return (
      <main>
        <Empty title="Nobody is signed in here">
          {ended && <Failure error={ended} />}
          <a class="button primary" href="/">
            Sign in
          </a>
        </Empty>
      </main>
    )
  return <Signed app={app} who={who} />
}

function Signed({ app, who }: { app: string; who: Session }) {
  const [state, setState] = useState<State>({ is: 'new' })
  const [round, setRound] = useState(0)
  const instance = useCall(signal => call('getInstance', { params: { app }, signal }), [app, state.is], {
    everyMs: 5_000,
  })
  const isAwake = instance.value?.phase === 'awake'
  const open = (): void => {
    setRound(round + 1)
    setState({ is: 'opening', wake: !isAwake })
  }
  const end = (how: { readonly code?: number; readonly error?: ApiError }): void =>
    setState(before =>
      before.is === 'new' || before.is === 'ended' ? before : { is: 'ended', wake: before.wake, ...how },
    )
  const onReply = (reply: TerminalReply): void => {
    if ('started' in reply) setState({ is: 'open', wake: true, started: reply.started })
    if ('exit' in reply) end({ code: reply.exit.code })
    if ('failed' in reply) {
      const { code, detail, hint } = reply.failed
      end({ error: new ApiError(0, { code, detail, ...(hint !== undefined && { hint }) }) })
    }
  }
  const again = isAwake ? 'Open a terminal' : 'Open a terminal (wakes the app)'
  const isRunning = state.is === 'opening' || state.is === 'open'
  return (
    <>
      <header class="terminal-bar">
        <h1>
          <Icon name="moon" /> <span>{app}</span>
        </h1>
        <p role="status" class="terminal-says">
          <Says app={app} who={who} state={state} />
        </p>
        <ThemeButton />
        {state.is === 'ended' && (
          <button type="button" class="primary" onClick={open}>
            {again}
          </button>
        )}
        {isRunning && (
          <button type="button" onClick={() => setState({ is: 'new' })}>
            Close
          </button>
        )}
      </header>
      <main class="terminal-main">
        {state.is === 'ended' && state.error && <Failure error={state.error} />}
        {state.is === 'new' ? (
          <div class="terminal-closed stack">
            {instance.error && <Failure error={instance.error} />}
            <p>
              A terminal is a shell in the container of <strong>{app}</strong>. It keeps the app awake until it is
              closed.
            </p>
            <div class="row">
              <button type="button" class="primary" onClick={open}>
                {again}
              </button>
              <a class="button" href={`/apps/${encodeURIComponent(app)}`}>
                Page of the app
              </a>
            </div>
            <CommandLine command={`shadow exec --tty ${app} -- sh`} />
          </div>
        ) : (
          <Screen
            key={round}
            app={app}
            wake={state.wake}
            onReply={onReply}
            onClose={() => end({ error: new ApiError(0, LOST) })}
          />
        )}
      </main>
    </>
  )
}

function Says({ app, who, state }: { app: string; who: Session; state: State }) {
  if (state.is === 'opening') return state.wake ? `Waking ${app}…` : 'Opening…'
  if (state.is === 'new') return 'No terminal is open: nothing is held.'
  if (state.is === 'ended')
    return state.code === undefined
      ? 'The terminal has ended: nothing is held any more.'
      : `The shell has ended with exit code ${state.code}: nothing is held any more.`
  return (
    <>
      <strong>Holds {app} awake</strong> for {sayWho(who)} while this window is open, on {state.started.node}. Ctrl+F6
      leaves the terminal by the keyboard.
    </>
  )
}

function ThemeButton() {
  const now = useStore(theme)
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'auto'
  return (
    <button
      type="button"
      class="quiet"
      onClick={() => applyTheme(next)}
      aria-label={`Theme: ${now}; change to ${next}`}
    >
      <Icon name="theme" />
    </button>
  )
}

const LOST = {
  code: 'offline',
  detail: 'the connection with the master is lost, which has ended the shell',
}

/** A token that a master made for its own machine has a file in its name, which says nothing here. */
const sayWho = ({ name }: Session): string => name.replace(/ of \/.*/, '')
