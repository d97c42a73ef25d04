import { z } from 'zod'
import type { MasterClient } from '../api/client.ts'
import { permitHeaders } from '../api/paths.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { SealedFiles } from '../lib/sealed-files.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import { withoutLastLines } from '../model/last-lines.ts'
import { type AppName, isAppName, type NodeName } from '../model/names.ts'
import { REFUSES_WAKE } from '../model/placement.ts'
import { SESSION_END_REASONS, type SessionEnd } from '../model/session.ts'
import type { Rested } from './state.ts'

type How = Pick<SessionEnd, 'reason' | 'exitCode' | 'detail'>

const Ended = z.object({
  createdAt: z.string(),
  permit: z.string().optional(),
  how: z.object({
    reason: z.enum(SESSION_END_REASONS),
    exitCode: z.int().optional(),
    detail: z.string().optional(),
  }),
})
type Ended = z.infer<typeof Ended>

export type EndedSessions = SealedFiles<AppName, Ended>

/** The ends of sessions that no master has heard of yet, in files. They have permits: the key is the node's own. */
export const openEndedSessions = (given: { folder: string; seals: Seals; log: Log }): EndedSessions =>
  new SealedFiles({
    ...given,
    what: 'end of a session',
    contextOf: session => `the end of the session ${session}`,
    isName: isAppName,
    parse: document => Ended.parse(document),
  })

type Options = {
  readonly master: MasterClient
  readonly files: EndedSessions
  readonly node: NodeName
  readonly known: (app: AppName) => App | undefined
  readonly permitOf: (app: AppName) => string | undefined
  /** A master says that the session has ended, or is another one by now. */
  readonly onTold: (session: AppName) => void
  readonly clock: Clock
  readonly log: Log
}

type Entry = Ended & { alarm?: Disposable | undefined; failures: number; isTold: boolean }

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** The master that ends a session removes it. Only if that master has died meanwhile, another one has to be told. */
const MASTER_ENDS_WITHIN_MS = 10_000
const MOST_DETAIL = 1_000
const REFUSALS: ReadonlySet<string | undefined> = new Set(REFUSES_WAKE)
/** Nothing is left to be told. */
const CLOSED: ReadonlySet<string> = new Set(['session-not-found', 'app-not-found', 'forbidden', 'volume-elsewhere'])

/**
 * Tells the masters of each session whose instance has ended on this node, if it is one that does not sleep. A master that is away is told
 * later, also by the next run of this node.
 */
export class SessionEnds implements Disposable {
  readonly #options: Options
  readonly #entries = new Map<AppName, Entry>()
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Takes up what an earlier run of this node could not tell. */
  async load(): Promise<void> {
    for (const [session, ended] of await this.#options.files.all()) {
      const entry: Entry = { ...ended, failures: 0, isTold: false }
      this.#entries.set(session, entry)
      void this.#tell(session, entry)
    }
  }

  /** Whether the session has ended here. Nothing wakes it any more, whether masters know it or not. */
  has({ name, createdAt }: Pick<App, 'name' | 'createdAt'>): boolean {
    return this.#entries.get(name)?.createdAt === createdAt
  }

  /** The only instance of the app has come to rest. */
  rested(name: AppName, rest: Rested): void {
    const app = this.#options.known(name)
    const how = howItEnded(rest)
    if (app?.session?.whenIdle === 'end' && how !== undefined) this.#ended(app, how)
  }

  /** After a start of this node: no container of the app runs. */
  notFound(app: App): void {
    const { session } = app
    if (session?.whenIdle !== 'end' || session.node !== this.#options.node || this.has(app)) return
    this.#ended(app, { reason: 'lost', detail: 'its node was restarted, and it did not run any more' })
  }

  /** The app is not known here any more. */
  forget({ name, createdAt }: Pick<App, 'name' | 'createdAt'>): void {
    if (this.#entries.get(name)?.createdAt === createdAt) this.#drop(name)
  }

  #ended({ name, createdAt, session }: App, how: How): void {
    const { files, permitOf, clock, log } = this.#options
    this.#drop(name)
    const ended: Ended = { createdAt, permit: permitOf(name), how: cutShort(how) }
    const entry: Entry = { ...ended, failures: 0, isTold: false }
    this.#entries.set(name, entry)
    files.keep(name, ended)
    log.info('session has ended here', { session: name, ...ended.how })
    if (session?.ending === undefined) void this.#tell(name, entry)
    else if (!this.#isClosed) entry.alarm = clock.after(MASTER_ENDS_WITHIN_MS, () => void this.#tell(name, entry))
  }

  async #tell(session: AppName, entry: Entry): Promise<void> {
    const { master, files, onTold, clock, log } = this.#options
    const { createdAt, permit, how } = entry
    try {
      const body = { createdAt, ...how }
      await master.call('sessionEnded', { params: { session }, body, headers: permitHeaders(permit) })
    } catch (cause) {
      const { code } = asShadowError(cause)
      if (!CLOSED.has(code)) {
        entry.failures++
        if (entry.failures === 1) log.warn('end of a session not told yet', { session, code, cause })
        if (this.#isClosed || this.#entries.get(session) !== entry) return
        const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (entry.failures - 1), LONGEST_PAUSE_MS)
        entry.alarm = clock.after(pauseMs, () => void this.#tell(session, entry))
        return
      }
    }
    if (this.#entries.get(session) !== entry) return
    entry.isTold = true
    files.forget(session)
    onTold(session)
  }

  #drop(session: AppName): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    entry.alarm?.[Symbol.dispose]()
    this.#entries.delete(session)
    if (!entry.isTold) this.#options.files.forget(session)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    for (const { alarm } of this.#entries.values()) alarm?.[Symbol.dispose]()
  }
}

const cutShort = ({ detail, ...how }: How): How => ({
  ...how,
  ...(detail !== undefined && { detail: detail.slice(0, MOST_DETAIL) }),
})

/** What the rest of its instance means for a session that does not sleep; undefined: it goes on, or its master knows of the end. */
function howItEnded({ why, problem, exitCode }: Rested): How | undefined {
  // Another node may take what this one refuses: the master that wakes it knows.
  if (REFUSALS.has(problem?.code)) return undefined
  switch (why) {
    case 'idle':
      return { reason: 'swept' }
    case 'self':
      return { reason: 'swept', detail: 'it asked for its end itself' }
    case 'room':
    case 'memory':
      return { reason: 'swept', detail: 'nobody used it, and its node needed the memory' }
    case 'died':
      if (problem === null && exitCode === undefined)
        return { reason: 'lost', detail: 'it did not run any more, or not yet, when its node was started' }
      return {
        reason: 'crashed',
        ...(exitCode !== undefined && { exitCode }),
        detail: problem === null ? 'its program has ended by itself' : withoutLastLines(problem.message),
      }
    case 'asked':
      return { reason: 'asked', detail: 'it was put to sleep' }
    case 'restored':
      return { reason: 'asked', detail: 'its volume was restored' }
    case 'paused':
      return { reason: 'asked', detail: 'it was paused' }
    case 'budget':
      return { reason: 'asked', detail: 'its budget is spent' }
    case 'drained':
    case 'drain-deadline':
      return { reason: 'lost', detail: 'its node was drained' }
    case 'companion':
      return { reason: 'lost', detail: 'an app that it uses is on its node no more' }
    case 'lease-lost':
      return { reason: 'lost', detail: 'its node lost the lease of its volume' }
    case 'shutdown':
      return { reason: 'lost', detail: 'its node was stopped' }
    case 'updated':
    case 'removed':
    case null:
      return undefined
  }
}
