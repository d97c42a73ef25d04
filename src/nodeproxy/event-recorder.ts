import { type Clock, timestamp } from '../lib/clock.ts'
import type { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { InstanceView, Phase, StopReason, WakeCause } from '../model/instance.ts'
import { type InstanceId, logFields } from '../model/instance-id.ts'
import { withoutLastLines } from '../model/last-lines.ts'
import { sayMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { InstanceCounters } from './instance-counters.ts'
import type { Exit } from './runtime/runtime.ts'
import type { Steps, WokenBy } from './state.ts'
import type { WakeTrace } from './wake-trace.ts'

type Options = {
  readonly instance: InstanceId
  readonly log: Log
  /** Writes an event into the instance's own log. */
  readonly journal: (instance: InstanceId, line: string) => void
  readonly counters?: InstanceCounters | undefined
  readonly trace?: WakeTrace | undefined
}

const LOG_AGAIN_AFTER_MS = 60_000

/** Records what happens to an instance: in the node's log, in the instance's own log, and the latest of each kind for views. */
export class EventRecorder {
  readonly #of: ReturnType<typeof logFields>
  readonly #log: Log
  readonly #note: (line: string) => void
  readonly #counters: InstanceCounters
  /** The traces of its wakes; undefined: they are not traced. */
  readonly trace: WakeTrace | undefined
  #wokenBy: string | null = null
  #cause: WakeCause | undefined
  #stoppedBy: StopReason | null = null
  #cut: number | undefined
  #lastWake: InstanceView['lastWake'] = null
  #badAnswer: InstanceView['badAnswer'] = null
  #badConnection: InstanceView['badConnection']
  #memoryKill: InstanceView['memoryKill'] = null
  #drySleeps: InstanceView['drySleeps']
  /** Since when it would be asleep, by a dry run. */
  #dryAsleepSince: number | undefined
  #badAnswerLoggedAt = Number.NEGATIVE_INFINITY

  constructor({ instance, log, journal, counters = new InstanceCounters(), trace }: Options) {
    this.trace = trace
    this.#counters = counters
    this.#of = logFields(instance)
    this.#log = log
    this.#note = line => journal(instance, line)
  }

  get facts(): Pick<
    InstanceView,
    'wokenBy' | 'stoppedBy' | 'lastWake' | 'badAnswer' | 'badConnection' | 'memoryKill' | 'cut' | 'drySleeps'
  > {
    return {
      wokenBy: this.#wokenBy,
      stoppedBy: this.#stoppedBy,
      lastWake: this.#lastWake,
      badAnswer: this.#badAnswer,
      memoryKill: this.#memoryKill,
      ...(this.#badConnection && { badConnection: this.#badConnection }),
      ...(this.#cut !== undefined && { cut: this.#cut }),
      ...(this.#drySleeps && { drySleeps: this.#drySleeps }),
    }
  }

  waking({ says, cause }: WokenBy, revision: number): void {
    this.#wokenBy = says
    this.#cause = cause
    this.trace?.begin({ cause, revision })
  }

  /** An earlier run of the node has woken it. */
  takenOver(): void {
    this.#wokenBy = 'an earlier run of this node'
    this.#cause = undefined
  }

  awake(ms: number, steps: Steps): void {
    this.trace?.end('awake')
    this.#counters.woken({ cause: this.#cause, ms, steps })
    this.#lastWake = { ms, steps }
    this.#log.info('app awake', { ...this.#of, by: this.#wokenBy, ms, steps })
    this.#note(`awake after ${sayMs(ms)}, woken by ${this.#wokenBy}`)
  }

  wasAwake(ms: number): void {
    this.#counters.awakeMs += ms
  }

  wakeFailed(problem: ShadowError, failures: number): void {
    const { code, message: detail, cause } = problem
    this.trace?.end('failed', problem)
    this.#counters.wakeFailed({ cause: this.#cause, code })
    this.#stoppedBy = 'died'
    this.#log.warn('app wake failed', { ...this.#of, code, detail, cause, failures })
    this.#note(`wake failed: ${withoutLastLines(detail)}`)
  }

  /** A revision that cannot be made ready, and the earlier one that runs in its place. */
  rejected(revision: number, good: number, problem: ShadowError): void {
    const { code, message, cause } = problem
    this.trace?.end('rejected', problem)
    this.#log.warn('app revision rejected', { ...this.#of, revision, good, code, detail: message, cause })
    this.#note(`revision ${revision} is not taken, revision ${good} serves on: ${firstLine(message)}`)
  }

  /** A newer release takes the new visitors from now on. `former`: what becomes of the earlier one. */
  switched(revision: number, ms: number, former: { readonly revision: number; readonly says: string }): void {
    this.#log.info('app release switched', { ...this.#of, revision, former: former.revision, ms })
    this.#note(`release ${revision} serves, after ${sayMs(ms)}; release ${former.revision} ${former.says}`)
  }

  /** Why a newer release takes the place of the earlier one, and is not started beside it. */
  inPlace(revision: number, why: string): void {
    this.#note(`requests are held while release ${revision} is started: ${why}`)
  }

  /** A newer release cannot be started now, through no fault of its own. */
  switchPutOff(revision: number, { code, message, cause }: ShadowError): void {
    this.#log.warn('app release put off', { ...this.#of, revision, code, detail: message, cause })
    this.#note(`release ${revision} is not started yet, and the earlier one serves on: ${firstLine(message)}`)
  }

  /** An earlier release has ended, after its uses had so long to end. */
  formerEnded(revision: number, cut: number, withinMs: number): void {
    const what = cut === 0 ? '' : `; ${sayUses(cut)} cut after ${sayMs(withinMs)} (--drain)`
    if (cut > 0) this.#log.warn('uses cut', { ...this.#of, revision, cut, withinMs })
    this.#note(`release ${revision} has ended${what}`)
  }

  formerDied(revision: number, { message }: ShadowError): void {
    this.#log.warn('earlier release of app died', { ...this.#of, revision, detail: message })
    this.#note(`release ${revision} crashed while it served its last visitors: ${withoutLastLines(message)}`)
  }

  formerStuck(revision: number, cause: unknown): void {
    this.#log.warn('earlier release of app not removed', { ...this.#of, revision, cause })
  }

  /** It ended while it was awake. */
  died(exit: Exit | undefined, { message }: ShadowError, failures: number): void {
    this.#log.warn('app died', { ...this.#of, ...exit, failures })
    this.#note(`crashed: ${withoutLastLines(message)}`)
  }

  /** A process of it was ended for want of memory, and the app goes on. */
  memoryKill({ limits }: TaskDefinition, clock: Clock): void {
    const count = (this.#memoryKill?.count ?? 0) + 1
    this.#memoryKill = { at: timestamp(clock), count }
    this.#log.warn('process of app out of memory', { ...this.#of, memory: limits.memory, count })
    this.#note(`a process was killed because the app used more than its ${limits.memory} of memory`)
  }

  /** Records a refused answer of the app. A new fault is logged at once, one that goes on once a minute. */
  badAnswer(fault: string, clock: Clock): void {
    const before = this.#badAnswer
    const count = (before?.count ?? 0) + 1
    this.#badAnswer = { at: timestamp(clock), fault, count }
    if (fault === before?.fault && clock.now() - this.#badAnswerLoggedAt < LOG_AGAIN_AFTER_MS) return
    this.#badAnswerLoggedAt = clock.now()
    this.#log.warn('app answer refused', { ...this.#of, fault, count })
    this.#note(`an answer was refused: ${fault}`)
  }

  /** Records a connection to a port on which the app does not listen. A new fault goes into its log. */
  badConnection(fault: string, clock: Clock): void {
    const before = this.#badConnection
    this.#badConnection = { at: timestamp(clock), fault, count: (before?.count ?? 0) + 1 }
    if (fault === before?.fault) return
    this.#log.warn('connection refused by app', { ...this.#of, fault })
    this.#note(`a connection was refused: ${fault}`)
  }

  stopping(why: StopReason): void {
    this.#counters.stops[why] += 1
    this.#stoppedBy = why
    if (why !== 'died') this.#note(`going to sleep: ${why}`)
  }

  /** A dry run: it would have gone to sleep now. */
  drySleep(why: StopReason, clock: Clock): void {
    this.#dryAsleepSince = clock.now()
    const { count = 0, asleepMs = 0 } = this.#drySleeps ?? {}
    this.#drySleeps = { count: count + 1, at: timestamp(clock), why, asleepMs }
    this.#log.info('app would sleep', { ...this.#of, why })
    this.#note(`dry run: it would have gone to sleep now: ${why}`)
  }

  /** A dry run: somebody has used it, which would have woken it. */
  dryWake(clock: Clock): void {
    const since = this.#dryAsleepSince
    if (since === undefined || this.#drySleeps === undefined) return
    this.#dryAsleepSince = undefined
    const ms = clock.now() - since
    this.#drySleeps = { ...this.#drySleeps, asleepMs: this.#drySleeps.asleepMs + ms }
    this.#note(`dry run: it would have been woken now, after ${sayMs(ms)} asleep`)
  }

  /** The uses that were left when their time was up are cut. */
  drained(cut: number, withinMs: number): void {
    this.#cut = cut
    if (cut === 0) return
    this.#log.warn('uses cut', { ...this.#of, cut, withinMs, why: this.#stoppedBy })
    const what = `${sayUses(cut)} cut`
    const of = this.#stoppedBy === 'drain-deadline' ? ', at the deadline of the drain of its node' : ''
    this.#note(`${what} after ${sayMs(withinMs)} (--drain)${of}`)
  }

  /** Records that an earlier run of this node left it half-way. */
  leftHalfWay(): void {
    this.#stoppedBy = 'died'
  }

  stuck(held: readonly string[], problem: ShadowError): void {
    this.#log.warn('app stuck', { ...this.#of, held, cause: problem.cause })
    this.#note(firstLine(problem.message))
  }

  rests(phase: Phase): void {
    this.#log.info(`app ${phase}`, { ...this.#of, why: this.#stoppedBy })
    if (this.#stoppedBy !== 'died') this.#note(`${phase}: ${this.#stoppedBy}`) // the cause of its death was noted before
  }
}

const sayUses = (count: number): string => `${count} ${count === 1 ? 'use was' : 'uses were'}`

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''
