import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { VERSION } from '../version.ts'
import type { SendSpans } from './span-queue.ts'
import type { SpanContext } from './trace-parent.ts'
import type { Samples, Span } from './tracer.ts'

type Otlp = {
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  /** The attributes of this process. */
  readonly resource: Readonly<Record<string, string>>
  /** The part of the traces that is recorded, from 0 to 1. */
  readonly ratio: number
}

// With all attempts: a collector that does not answer may keep a process that ends for so long.
const WITHIN_MS = 5_000
const SAMPLED = 1
const KINDS = { internal: 0, server: 1 } as const
const UNSET = 0
const ERROR = 2
const SUCCESS = 0

/** Sends spans to a collector by OTLP over HTTP, with the SDK of OpenTelemetry. */
export async function openOtlp({ endpoint, headers, resource, ratio }: Otlp): Promise<{
  readonly send: SendSpans
  readonly samples: Samples
  close(): Promise<void>
}> {
  const [{ OTLPTraceExporter }, { SamplingDecision, TraceIdRatioBasedSampler }] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/sdk-trace'),
  ])
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`
  const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: WITHIN_MS })
  const sampler = new TraceIdRatioBasedSampler(ratio)
  const own: ReadableSpan['resource'] = {
    attributes: resource,
    merge: other => other ?? own,
    getRawAttributes: () => [],
  }
  return {
    send: spans =>
      new Promise((resolve, reject) => {
        exporter.export(
          spans.map(span => readable(span, own)),
          ({ code, error }) =>
            code === SUCCESS ? resolve() : reject(error ?? new Error('the collector took no spans')),
        )
      }),
    samples: traceId => sampler.shouldSample(undefined, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED,
    close: () => exporter.shutdown(),
  }
}

function readable(span: Span, resource: ReadableSpan['resource']): ReadableSpan {
  const { name, kind, context, parent, from, to, attributes, links, error } = span
  return {
    name,
    kind: KINDS[kind],
    spanContext: () => contextOf(context),
    ...(parent && { parentSpanContext: { ...contextOf(parent), isRemote: parent.isRemote } }),
    startTime: timeOf(from),
    endTime: timeOf(to),
    duration: timeOf(Math.max(0, to - from)),
    status: error === undefined ? { code: UNSET } : { code: ERROR, message: error },
    attributes,
    links: links.map(link => ({ context: contextOf(link) })),
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: 'shadow', version: VERSION },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

const contextOf = ({ traceId, spanId }: SpanContext) => ({ traceId, spanId, traceFlags: SAMPLED })

/** Seconds and nanoseconds. */
function timeOf(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1_000)
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)]
}
