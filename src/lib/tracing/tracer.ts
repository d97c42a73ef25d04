import type { Clock } from '../clock.ts'
import { newSpanId, newTraceId, parseTraceParent, type SpanContext } from './trace-parent.ts'

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

/** A span that has ended. Times are in milliseconds since the epoch, with fractions. */
export type Span = {
  readonly name: string
  readonly kind: 'internal' | 'server'
  readonly context: SpanContext
  /** `isRemote`: that span is of another process. */
  readonly parent: (SpanContext & { readonly isRemote: boolean }) | undefined
  readonly from: number
  readonly to: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  /** Spans of other traces that this one has to do with. */
  readonly links: readonly SpanContext[]
  /** Why it failed; undefined: it did not. */
  readonly error: string | undefined
}

/** Whether a trace that begins here is recorded. */
export type Samples = (traceId: string) => boolean

/** Takes spans that have ended. It never throws, and never makes its caller wait. */
export type SpanSink = { record(span: Span): void }

/** A place for a span that is recorded when it has ended. */
export type BegunSpan = Pick<Span, 'context' | 'parent' | 'from'>

type Options = {
  readonly sink: SpanSink
  readonly samples: Samples
  /** Whether the traceparent of a request decides. */
  readonly followsParent: boolean
  readonly clock: Pick<Clock, 'wall'>
}

/** Begins and records spans. */
export class Tracer {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** Begins the span of a request with this traceparent; undefined if it is not traced. */
  begin(header: string | undefined): BegunSpan | undefined {
    const { samples, followsParent } = this.#options
    const parent = parseTraceParent(header)
    const traceId = parent?.traceId ?? newTraceId()
    if (!(parent !== undefined && followsParent ? parent.isSampled : samples(traceId))) return undefined
    return this.#begun(traceId, parent && { traceId, spanId: parent.spanId, isRemote: true })
  }

  /** Begins a trace. `isWanted` tells whether it is recorded by itself, and not only for another one that it belongs to. */
  root(): BegunSpan & { readonly isWanted: boolean } {
    const traceId = newTraceId()
    return { ...this.#begun(traceId, undefined), isWanted: this.#options.samples(traceId) }
  }

  /** The place of a span in the trace of that one. */
  child(parent: SpanContext): Pick<Span, 'context' | 'parent'> {
    return { context: { traceId: parent.traceId, spanId: newSpanId() }, parent: { ...parent, isRemote: false } }
  }

  /** Records the span, which ends now if it does not say otherwise. */
  record(span: Omit<Span, 'to' | 'links' | 'error'> & Partial<Span>): void {
    this.#options.sink.record({ to: this.#options.clock.wall(), links: [], error: undefined, ...span })
  }

  #begun(traceId: string, parent: Span['parent']): BegunSpan {
    return { context: { traceId, spanId: newSpanId() }, parent, from: this.#options.clock.wall() }
  }
}
