import { asShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import { sayTraceParent } from '../lib/tracing/trace-parent.ts'
import type { BegunSpan, Tracer } from '../lib/tracing/tracer.ts'
import type { AppName } from '../model/names.ts'

type Copy = NonNullable<NextHop['copy']>

/** The span of one request at the front. It is recorded if the request waited for a wake, or failed. */
export class RequestTrace {
  /** The span as the node is told of it, and an app that was told of no other one. */
  readonly header: string
  /** Whether the request came without a traceparent. */
  readonly isFirst: boolean
  readonly #tracer: Tracer
  readonly #span: BegunSpan
  readonly #attributes: Readonly<Record<string, string>>
  #isRecorded = false

  /** The trace of the request; undefined if it is not traced. */
  static of(tracer: Tracer | undefined, exchange: Exchange, app: AppName): RequestTrace | undefined {
    if (tracer === undefined) return undefined
    const given = exchange.header('traceparent')
    const span = tracer.begin(given)
    if (span === undefined) return undefined
    const attributes = { 'shadow.app': app, 'http.request.method': exchange.method }
    return new RequestTrace(tracer, span, attributes, given === undefined)
  }

  constructor(tracer: Tracer, span: BegunSpan, attributes: Readonly<Record<string, string>>, isFirst: boolean) {
    this.#tracer = tracer
    this.#span = span
    this.#attributes = attributes
    this.header = sayTraceParent(span.context)
    this.isFirst = isFirst
  }

  /** The request has waited for a wake, and goes to the app now, or is answered by it. */
  waited(): void {
    this.#record(undefined)
  }

  failed(error: unknown): void {
    this.#record(asShadowError(error).code)
  }

  /** Looks at the answer of a node, which tells whether the request waited there. */
  watch(copy: Copy | undefined): Copy {
    return {
      mostBytes: copy?.mostBytes ?? Number.POSITIVE_INFINITY,
      wants: answer => {
        const timing = answer.fields.find(([name]) => name === 'server-timing')?.[1]
        if (timing !== undefined && WAITED.test(timing)) this.waited()
        return copy?.wants(answer) ?? false
      },
      taken: answer => copy?.taken(answer),
    }
  }

  #record(error: string | undefined): void {
    if (this.#isRecorded) return
    this.#isRecorded = true
    const attributes = error === undefined ? this.#attributes : { ...this.#attributes, 'error.type': error }
    this.#tracer.record({ name: 'request', kind: 'server', ...this.#span, attributes, error })
  }
}

const WAITED = /\bwake;dur=/
