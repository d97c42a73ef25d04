import { hostname } from 'node:os'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Values } from '../settings.ts'
import { VERSION } from '../version.ts'
import { openOtlp } from './otlp.ts'
import type { tracingSettings } from './settings.ts'
import { SpanQueue } from './span-queue.ts'
import { Tracer } from './tracer.ts'

/** How many spans a collector has taken, and how many were lost. */
export type SpanCounts = { readonly spansSent: number; readonly spansLost: number }

/** The traces of one thread. `tracer` is undefined if traces are not turned on; then nothing of OpenTelemetry is loaded. */
export type Tracing = AsyncDisposable & { readonly tracer: Tracer | undefined; counts(): SpanCounts }

type Given = {
  /** The name of this daemon, where the settings give none. */
  readonly service: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly log: Log
}

const NO_SPANS: SpanCounts = { spansSent: 0, spansLost: 0 }
const NO_TRACING: Tracing = { tracer: undefined, counts: () => NO_SPANS, [Symbol.asyncDispose]: async () => undefined }
const TOLD_AGAIN_AFTER_MS = 60_000

/** Opens the traces of this thread. Disposing them sends what still waits, for two seconds at most. */
export async function openTracing(
  settings: Values<typeof tracingSettings>,
  { service, attributes, clock, log }: Given,
): Promise<Tracing> {
  const { otlpEndpoint, otlpHeaders, traceService, traceResource, traceSampler, traceRatio, traceDelayMs } = settings
  if (otlpEndpoint === undefined) return NO_TRACING
  const resource = {
    'service.name': traceService ?? service,
    'service.version': VERSION,
    'host.name': hostname(),
    ...attributes,
    ...traceResource,
  }
  const ratio = traceSampler.endsWith('always_on') ? 1 : traceSampler.endsWith('always_off') ? 0 : traceRatio
  const otlp = await openOtlp({ endpoint: otlpEndpoint, headers: otlpHeaders, resource, ratio })
  let toldAt = Number.NEGATIVE_INFINITY
  const onLost = (cause: unknown): void => {
    if (clock.now() - toldAt < TOLD_AGAIN_AFTER_MS) return
    toldAt = clock.now()
    log.warn('spans not taken by the collector', { endpoint: otlpEndpoint, cause })
  }
  const queue = new SpanQueue({ send: otlp.send, delayMs: traceDelayMs, clock, onLost })
  const followsParent = traceSampler.startsWith('parentbased_')
  return {
    tracer: new Tracer({ sink: queue, samples: otlp.samples, followsParent, clock }),
    counts: () => ({ spansSent: queue.sent, spansLost: queue.lost }),
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]()
      // It may still wait for a collector that does not answer: nobody waits for that.
      otlp.close().catch(() => undefined)
    },
  }
}
