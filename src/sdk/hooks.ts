import { pause } from './pause.ts'
import type { SessionState } from './types.ts'

/** The two hooks that are needed; React and Preact have them. */
type Library = {
  useState<T>(initial: T): [T, (next: T | ((now: T) => T)) => void]
  useEffect(effect: () => (() => void) | undefined, inputs: readonly unknown[]): void
}

/** What a page gets from its own server, which has called `connect`. */
export type Grant = { readonly url: string }

export type UsedSession = {
  /** Where to visit the session; undefined until it is known. */
  readonly url: string | undefined
  /** `connecting`: the server of the page is asked. */
  readonly state: SessionState | 'connecting' | 'failed'
  readonly isReady: boolean
  readonly error: Error | undefined
}
export type SessionHooks = {
  /**
   * Keeps a page connected with a session. `connect` asks the page's own server, and is called again with longer and longer pauses after a failure,
   * and anew once the session has ended while the page is there. It must be the same function as long as the session is the same one.
   */
  useSession(connect: (signal: AbortSignal) => Promise<Grant>): UsedSession
}

const LONGEST_PAUSE_MS = 30_000
/** How often the state is asked for when nothing is under way, and the first pause after a failure; in milliseconds. */
type Paces = { readonly everyMs: number; readonly pauseMs: number }
const USUAL: Paces = { everyMs: 5_000, pauseMs: 500 }

/** The hooks, made with the library of the page: `sessionHooks(React)`. */
export function sessionHooks({ useState, useEffect }: Library, paces: Paces = USUAL): SessionHooks {
  return {
    useSession(connect) {
      const [used, setUsed] = useState<UsedSession>(CONNECTING)
      useEffect(() => {
        const gone = new AbortController()
        setUsed(CONNECTING)
        void keep(connect, setUsed, paces, gone.signal)
        return () => gone.abort()
      }, [connect])
      return used
    },
  }
}

const CONNECTING: UsedSession = { url: undefined, state: 'connecting', isReady: false, error: undefined }

async function keep(
  connect: (signal: AbortSignal) => Promise<Grant>,
  tell: (used: UsedSession) => void,
  { everyMs, pauseMs }: Paces,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const { url } = await connect(signal)
      for (;;) {
        const state = await stateAt(url, signal)
        if (signal.aborted) return
        failures = 0
        tell({ url, state, isReady: state === 'ready', error: undefined })
        if (state === 'ended' || state === 'ending') break
        await pause(state === 'ready' || state === 'asleep' ? everyMs : pauseMs, signal)
      }
    } catch (error) {
      if (signal.aborted) return
      tell({
        url: undefined,
        state: 'failed',
        isReady: false,
        error: error instanceof Error ? error : new Error(String(error)),
      })
    }
    await pause(Math.min(LONGEST_PAUSE_MS, pauseMs * 2 ** failures++), signal).catch(() => undefined) // the head ends it
  }
}

/** The state by the session's own hostname, which any page may read that has the URL with its token. */
async function stateAt(url: string, signal: AbortSignal): Promise<SessionState> {
  const response = await fetch(new URL('.shadow/session', url), { signal, cache: 'no-store' })
  if (response.status === 404 || response.status === 410) return 'ended'
  if (!response.ok) throw new Error(`the session answers with status ${response.status}`)
  return ((await response.json()) as { state: SessionState }).state
}
