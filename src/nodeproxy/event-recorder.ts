import { type Clock, timestamp } from '../lib/clock.ts'
import type { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { InstanceView, Phase, SleepStep, StopReason, WakeCause, WakeStep, WakeTier } from '../model/instance.ts'
import { type InstanceId, logFields } from '../model/instance-id.ts'
import { withoutLastLines } from '../model/last-lines.ts'
import { sayMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { HistoryRecorder, NotedEvent } from './history/recorder.ts'
import { StepTimes } from './history/step-times.ts'
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
  /** Keeps the events for the timeline of the app; left out: nobody does. */
  readonly history?: HistoryRecorder | undefined
}

const LOG_AGAIN_AFTER_MS = 60_000

/** Records what happens to an instance: in the node's log, in the instance's own log, in the history, and the latest of each kind for views. */
export class EventRecorder {
  readonly #of: ReturnType<typeof logFields>
  readonly #log: Log
  readonly #note: (line: string) => void
  readonly #counters: InstanceCounters
  /** The traces of its wakes; undefined: they are not traced. */
  readonly trace: WakeTrace | undefined
  readonly #tell: (event: NotedEvent) => void
  #times = new StepTimes()
  /** The revision that runs, or ran last. */
  #revision: number | undefined
  /** The stop that is under way. */
  #stop: { readonly times: StepTimes; isStuck: boolean } | undefined
  #wokenBy: string | null = null
  #cause: WakeCause | undefined
  #stoppedBy: StopReason | null = null
  #frozenBy: StopReason | undefined
  #cut: number | undefined
  #lastWake: InstanceView['lastWake'] = null
  #badAnswer: InstanceView['badAnswer'] = null
  #badConnection: InstanceView['badConnection']
  #memoryKill: InstanceView['memoryKill'] = null
  #drySleeps: InstanceView['drySleeps']
  /** Since when it would be asleep, by a dry run. */
  #dryAsleepSince: number | undefined
  #badAnswerLoggedAt = Number.NEGATIVE_INFINITY

  constructor({ instance, log, journal, counters = new InstanceCounters(), trace, history }: Options) {
    this.trace = trace
    this.#counters = counters
    this.#tell = event => history?.note(instance, event)
    this.#of = logFields(instance)
    this.#log = log
    this.#note = line => journal(instance, line)
  }

  get facts(): Pick<
    InstanceView,
    | 'wokenBy'
    | 'stoppedBy'
    | 'frozenBy'
    | 'lastWake'
    | 'badAnswer'
    | 'badConnection'
    | 'memoryKill'
    | 'cut'
    | 'drySleeps'
  > {
    return {
      wokenBy: this.#wokenBy,
      stoppedBy: this.#stoppedBy,
      ...(this.#frozenBy && { frozenBy: this.#frozenBy }),
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
    this.#stop = undefined
    this.#revision = revision
    this.starting()
    this.trace?.begin({ cause, revision })
  }

  /** A container is about to be made and started. */
  starting(): void {
    this.#times = new StepTimes()
  }

  step(step: WakeStep | SleepStep, when: 'before' | 'after'): void {
    this.trace?.step(step, when)
    this.#times.step(step, when)
  }

  /** An earlier run of the node has woken it. */
  takenOver(revision: number): void {
    this.#wokenBy = 'an earlier run of this node'
    this.#cause = undefined
    this.#revision = revision
  }

  awake(ms: number, steps: Steps, from: WakeTier = 'asleep'): void {
    this.trace?.end('awake')
    this.#counters.woken({ cause: this.#cause, ms, steps }, from)
    this.#lastWake = { ms, steps }
    this.#log.info('app awake', { ...this.#of, by: this.#wokenBy, ms, steps })
    this.#note(`awake after ${sayMs(ms)}, woken by ${this.#wokenBy}`)
    this.#tell({ ...this.#wake, outcome: 'ok', ms })
  }

  /** It goes on where it was frozen. */
  thawed({ says: by, cause }: WokenBy, ms: number, from: 'frozen' | 'suspended'): void {
    this.#frozenBy = undefined
    this.#wokenBy = by
    this.#cause = cause
    this.#counters.woken({ cause, ms, steps: {} }, from)
    this.#lastWake = { ms, steps: {} }
    this.#log.info('app thawed', { ...this.#of, by, ms })
    this.#note(`thawed after ${sayMs(ms)}, woken by ${by}`)
  }

  frozen(phase: 'frozen' | 'suspended', why: StopReason): void {
    this.#frozenBy = why
    this.#log.info(`app ${phase}`, { ...this.#of, why })
    this.#note(`${phase}: ${why}`)
    if (phase === 'suspended' && why === 'memory')
      this.#tell({ kind: 'sleep', by: why, revision: this.#revision, outcome: 'ok', detail: phase })
  }

  notFrozen(phase: 'frozen' | 'suspended', { message, cause }: ShadowError): void {
    this.#log.warn(`app not ${phase}`, { ...this.#of, detail: message, cause })
    this.#note(`not ${phase}: ${firstLine(message)}`)
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
    this.#tell({ ...this.#wake, outcome: 'failed', ms: this.#times.ms, code, detail })
  }

  get #wake(): NotedEvent {
    return { kind: 'wake', by: this.#wokenBy ?? undefined, revision: this.#revision, steps: this.#times.steps }
  }

  /** A revision that cannot be made ready, and the earlier one that runs in its place. */
  rejected(revision: number, good: number, problem: ShadowError): void {
    const { code, message, cause } = problem
    this.trace?.end('rejected', problem)
    this.#log.warn('app revision rejected', { ...this.#of, revision, good, code, detail: message, cause })
    this.#note(`revision ${revision} is not taken, revision ${good} serves on: ${firstLine(message)}`)
    const detail = `revision ${good} serves on: ${message}`
    this.#tell({ kind: 'problem', revision, outcome: 'failed', code, detail })
  }

  /** A newer release takes the new visitors from now on. `former`: what becomes of the earlier one. */
  switched(revision: number, ms: number, former: { readonly revision: number; readonly says: string }): void {
    this.#log.info('app release switched', { ...this.#of, revision, former: former.revision, ms })
    this.#note(`release ${revision} serves, after ${sayMs(ms)}; release ${former.revision} ${former.says}`)
    this.#revision = revision
    const by = `release ${revision}, in place of release ${former.revision}`
    this.#tell({ ...this.#wake, by, outcome: 'ok', ms: this.#times.ms })
  }

  /** Why a newer release takes the place of the earlier one, and is not started beside it. */
  inPlace(revision: number, why: string): void {
    this.#note(`requests are held while release ${revision} is started: ${why}`)
  }

  /** A newer release cannot be started now, through no fault of its own. */
  switchPutOff(revision: number, { code, message, cause }: ShadowError): void {
    this.#log.warn('app release put off', { ...this.#of, revision, code, detail: message, cause })
    this.#note(`release ${revision} is not started yet, and the earlier one serves on: ${firstLine(message)}`)
    this.#tell({ kind: 'problem', revision, code, detail: `not started yet: ${message}` })
  }

  /** An earlier release has ended, after its uses had so long to end. */
  formerEnded(revision: number, cut: number, withinMs: number): void {
    const what = cut === 0 ? '' : `; ${sayUses(cut)} cut after ${sayMs(withinMs)} (--drain)`
    if (cut > 0) this.#log.warn('uses cut', { ...this.#of, revision, cut, withinMs })
    this.#note(`release ${revision} has ended${what}`)
  }

  formerDied(revision: number, { code, message }: ShadowError): void {
    this.#log.warn('earlier release of app died', { ...this.#of, revision, detail: message })
    this.#note(`release ${revision} crashed while it served its last visitors: ${withoutLastLines(message)}`)
    this.#tell({ kind: 'crash', revision, code, detail: message })
  }

  formerStuck(revision: number, cause: unknown): void {
    this.#log.warn('earlier release of app not removed', { ...this.#of, revision, cause })
  }

  /** It ended while it was awake. */
  died(exit: Exit | undefined, { code, message }: ShadowError, failures: number): void {
    this.#log.warn('app died', { ...this.#of, ...exit, failures })
    this.#note(`crashed: ${withoutLastLines(message)}`)
    // An app that lived for a while and ends with exit code 0 goes to sleep by itself.
    const kind = failures === 0 ? 'sleep' : 'crash'
    this.#tell({ kind, by: 'died', revision: this.#revision, code, detail: message })
  }

  /** A process of it was ended for want of memory, and the app goes on. */
  memoryKill({ limits }: TaskDefinition, clock: Clock): void {
    const count = (this.#memoryKill?.count ?? 0) + 1
    this.#memoryKill = { at: timestamp(clock), count }
    this.#log.warn('process of app out of memory', { ...this.#of, memory: limits.memory, count })
    const detail = `a process was killed because the app used more than its ${limits.memory} of memory`
    this.#note(detail)
    this.#tell({ kind: 'problem', revision: this.#revision, detail })
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
    this.#tell({ kind: 'problem', revision: this.#revision, detail: `an answer was refused: ${fault}` })
  }

  /** Records a connection to a port on which the app does not listen. A new fault goes into its log. */
  badConnection(fault: string, clock: Clock): void {
    const before = this.#badConnection
    this.#badConnection = { at: timestamp(clock), fault, count: (before?.count ?? 0) + 1 }
    if (fault === before?.fault) return
    this.#log.warn('connection refused by app', { ...this.#of, fault })
    this.#note(`a connection was refused: ${fault}`)
    this.#tell({ kind: 'problem', revision: this.#revision, detail: `a connection was refused: ${fault}` })
  }

  stopping(why: StopReason): void {
    this.#counters.stops[why] += 1
    this.#frozenBy = undefined
    this.#stoppedBy = why
    this.#cut = undefined
    this.#stop = { times: new StepTimes(), isStuck: false }
    if (why !== 'died') this.#note(`going to sleep: ${why}`)
  }

  /** A wake under way is called off. */
  calledOff(why: StopReason): void {
    this.#stoppedBy = why
    this.#note(`its start is called off: ${why}`)
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
    // Each inventory tries again, and fails again.
    if (this.#stop?.isStuck) return
    this.#stop ??= { times: new StepTimes(), isStuck: false }
    this.#stop.isStuck = true
    this.#tell({ kind: 'problem', revision: this.#revision, code: problem.code, detail: problem.message })
  }

  rests(phase: Phase): void {
    this.#log.info(`app ${phase}`, { ...this.#of, why: this.#stoppedBy })
    const stop = this.#stop
    this.#stop = undefined
    if (this.#stoppedBy === 'died') return // the cause of its death was noted before
    this.#note(`${phase}: ${this.#stoppedBy}`)
    if (stop === undefined) return // a wake was called off
    const cut = this.#cut ? { detail: `${sayUses(this.#cut)} cut` } : {}
    const by = this.#stoppedBy ?? undefined
    this.#tell({ kind: 'sleep', by, revision: this.#revision, outcome: 'ok', ms: stop.times.ms, ...cut })
  }
}

const sayUses = (count: number): string => `${count} ${count === 1 ? 'use was' : 'uses were'}`

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''
