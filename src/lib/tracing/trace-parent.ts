import { randomBytes } from 'node:crypto'

/** A span as others refer to it (W3C Trace Context). */
export type SpanContext = { readonly traceId: string; readonly spanId: string }
/** What a `traceparent` header says. `isSampled`: whoever sent it records its spans. */
export type TraceParent = SpanContext & { readonly isSampled: boolean }

const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Parses the header; undefined for one that is to be ignored. A later version may have more fields after those that are known. */
export function parseTraceParent(header: string | undefined): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = SHAPE.exec(header?.trim() ?? '') ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The header for a span that is recorded. */
export const sayTraceParent = ({ traceId, spanId }: SpanContext): string => `00-${traceId}-${spanId}-01`

export const newTraceId = (): string => randomBytes(16).toString('hex')
export const newSpanId = (): string => randomBytes(8).toString('hex')
