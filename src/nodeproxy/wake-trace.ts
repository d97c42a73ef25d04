import { asShadowError, type ShadowError } from '../lib/errors.ts'
import type { SpanContext } from '../lib/tracing/trace-parent.ts'
import type { BegunSpan, Tracer } from '../lib/tracing/tracer.ts'
import { type SleepStep, WAKE_STEPS, type WakeCause, type WakeStep } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { NodeName } from '../model/names.ts'

type Options = { readonly tracer: Tracer; readonly instance: InstanceId; readonly node: NodeName }

type Stage = { readonly from: number; to: number | undefined }
type UnderWay = {
  readonly span: BegunSpan & { readonly isWanted: boolean }
  readonly cause: WakeCause
  readonly revision: number
  /** By `performance.now()`, as the times of the stages. */
  readonly at: number
  readonly stages: Map<WakeStep, Stage>
}

/** A traced request that waits. `ended` is called once. */
export type TracedWait = { ended(error?: unknown): void }

/**
 * The traces of the wakes of one instance. A wake is a trace of its own, with a span for each stage, since many requests may wait for it: the
 * span of each of them has a link to it. A wake that a traced request waits for is recorded, whatever the sampler says of it.
 */
export class WakeTrace {
  readonly #tracer: Tracer
  readonly #attributes: Readonly<Record<string, string>>
  #wake: UnderWay | undefined
  #last: { readonly context: SpanContext; endedAt: number | undefined } | undefined
  #isWanted = false

  constructor({ tracer, instance, node }: Options) {
    this.#tracer = tracer
    this.#attributes = { 'shadow.app': appOf(instance), 'shadow.instance': instance, 'shadow.node': node }
  }

  /** A request waits from now on. `header`: the span of the front; undefined if the request is not traced. */
  waits(header: string | undefined): TracedWait | undefined {
    const span = header === undefined ? undefined : this.#tracer.begin(header)
    if (span === undefined) return undefined
    this.#isWanted = true
    const from = performance.now()
    return {
      ended: error => {
        if (this.#wake === undefined) this.#isWanted = false
        const last = this.#last
        const links = last === undefined || (last.endedAt ?? from) < from ? [] : [last.context]
        this.#tracer.record({ name: 'hold', kind: 'server', ...span, ...this.#ending(error), links })
      },
    }
  }

  begin({ cause, revision }: { readonly cause: WakeCause; readonly revision: number }): void {
    const span = this.#tracer.root()
    this.#wake = { span, cause, revision, at: performance.now(), stages: new Map() }
    this.#last = { context: span.context, endedAt: undefined }
  }

  step(step: WakeStep | SleepStep, when: 'before' | 'after'): void {
    const stages = this.#wake?.stages
    if (stages === undefined || !isWakeStep(step)) return
    const stage = stages.get(step)
    if (when === 'before') stages.set(step, { from: performance.now(), to: undefined })
    else if (stage !== undefined) stage.to = performance.now()
  }

  /** The wake has ended; one that was not begun here is none. */
  end(outcome: 'awake' | 'failed' | 'rejected', problem?: ShadowError): void {
    const wake = this.#wake
    if (wake === undefined) return
    const now = performance.now()
    this.#wake = undefined
    if (this.#last !== undefined) this.#last.endedAt = now
    if (wake.span.isWanted || this.#isWanted) this.#record(wake, outcome, problem, now)
    this.#isWanted = false
  }

  #record({ span, cause, revision, at, stages }: UnderWay, outcome: string, problem: unknown, now: number): void {
    const { context, parent, from } = span
    const wallOf = (moment: number): number => from + (moment - at)
    const { attributes, error } = this.#ending(problem)
    const more = {
      'shadow.cause': cause,
      'shadow.tier': 'asleep',
      'shadow.revision': revision,
      'shadow.outcome': outcome,
    }
    const wake = { name: 'wake', kind: 'internal', context, parent, from, to: wallOf(now), error } as const
    this.#tracer.record({ ...wake, attributes: { ...attributes, ...more } })
    for (const [name, stage] of stages) {
      // A stage that has not ended is one that failed, or was called off.
      const ending = stage.to === undefined ? this.#ending(problem) : { attributes: this.#attributes, error: undefined }
      const to = wallOf(stage.to ?? now)
      this.#tracer.record({
        name,
        kind: 'internal',
        ...this.#tracer.child(context),
        from: wallOf(stage.from),
        to,
        ...ending,
      })
    }
  }

  #ending(problem: unknown) {
    if (problem === undefined) return { attributes: this.#attributes, error: undefined }
    const { code } = asShadowError(problem)
    return { attributes: { ...this.#attributes, 'error.type': code }, error: code }
  }
}

const isWakeStep = (step: WakeStep | SleepStep): step is WakeStep => (WAKE_STEPS as readonly string[]).includes(step)
