import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { z } from 'zod'
import { open } from './wire.ts'

const hex = (digits: number) => z.string().regex(new RegExp(`^(?!0+$)[0-9a-f]{${digits}}$`))
const nanos = z.string().regex(/^\d{19}$/)
const Value = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: z.number() }),
  z.strictObject({ doubleValue: z.number() }),
])
const Attributes = z.array(z.strictObject({ key: z.string().min(1), value: Value }))
const none = z.literal(0).optional()
const LinkSchema = z.strictObject({
  traceId: hex(32),
  spanId: hex(16),
  traceState: z.string().optional(),
  attributes: Attributes,
  droppedAttributesCount: none,
  flags: z.int(),
})
const SpanSchema = z.strictObject({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16).optional(),
  traceState: z.string().optional(),
  name: z.string().min(1),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: nanos,
  endTimeUnixNano: nanos,
  attributes: Attributes,
  events: z.array(z.never()),
  links: z.array(LinkSchema),
  status: z.strictObject({ code: z.int().min(0).max(2), message: z.string().optional() }),
  flags: z.int(),
  droppedAttributesCount: none,
  droppedEventsCount: none,
  droppedLinksCount: none,
})
/** `ExportTraceServiceRequest` of OTLP, in JSON. */
const RequestSchema = z.strictObject({
  resourceSpans: z
    .array(
      z.strictObject({
        resource: z.strictObject({ attributes: Attributes, droppedAttributesCount: none }),
        scopeSpans: z
          .array(
            z.strictObject({
              scope: z.strictObject({ name: z.literal('shadow'), version: z.string().min(1) }),
              spans: z.array(SpanSchema).min(1),
              schemaUrl: z.string().optional(),
            }),
          )
          .min(1),
        schemaUrl: z.string().optional(),
      }),
    )
    .min(1),
})

type Attribute = string | number | boolean
/** A span that came. Times are in nanoseconds since the epoch. */
export type ReceivedSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly isParentRemote: boolean
  readonly name: string
  readonly kind: number
  readonly from: bigint
  readonly to: bigint
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code: number; readonly message?: string | undefined }
  readonly resource: Readonly<Record<string, Attribute>>
}

/** A collector that takes traces by OTLP over HTTP in JSON, and is strict. */
export type OtlpReceiver = AsyncDisposable & {
  readonly endpoint: string
  readonly spans: readonly ReceivedSpan[]
  /** What was wrong with what came. */
  readonly faults: readonly string[]
  /** The headers of the last request. */
  readonly headers: IncomingMessage['headers']
  /** How it answers from now on. `hangs`: not at all. */
  mode: 'takes' | 'refuses' | 'hangs'
}

const IS_REMOTE = 0x300

export async function otlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const faults: string[] = []
  let headers: IncomingMessage['headers'] = {}
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    headers = request.headers
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (receiver.mode === 'hangs') return
    if (receiver.mode === 'refuses') return void response.writeHead(400).end()
    try {
      if (request.method !== 'POST' || request.url !== '/v1/traces') throw new Error(`${request.method} ${request.url}`)
      if (request.headers['content-type'] !== 'application/json') throw new Error(`${request.headers['content-type']}`)
      spans.push(...read(JSON.parse(Buffer.concat(chunks).toString())))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    } catch (error) {
      faults.push(String(error))
      response.writeHead(400).end()
    }
  }
  const listening = await open(createServer((request, response) => void take(request, response)))
  const receiver: OtlpReceiver = {
    endpoint: `http://127.0.0.1:${listening.port}`,
    spans,
    faults,
    get headers() {
      return headers
    },
    mode: 'takes',
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
  return receiver
}

function read(body: unknown): ReceivedSpan[] {
  return RequestSchema.parse(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(scope =>
      scope.spans.map(span => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        isParentRemote: (span.flags & IS_REMOTE) === IS_REMOTE,
        name: span.name,
        kind: span.kind,
        from: BigInt(span.startTimeUnixNano),
        to: BigInt(span.endTimeUnixNano),
        attributes: attributesOf(span.attributes),
        links: span.links,
        status: span.status,
        resource: attributesOf(resource.attributes),
      })),
    ),
  )
}

const attributesOf = (given: z.infer<typeof Attributes>): Record<string, Attribute> =>
  Object.fromEntries(given.map(({ key, value }) => [key, Object.values(value)[0] as Attribute]))

/**
 * What is wrong with these spans, as traces: ids that two have, parents that are missing, spans that end before they begin, or are not within the
 * time of their parent, links to nothing. `remote` are spans of others, which need not be there. Clocks of threads may differ by `withinMs`.
 */
export function faultsOfTraces(spans: readonly ReceivedSpan[], remote: readonly string[] = [], withinMs = 2): string[] {
  const byId = new Map(spans.map(span => [span.spanId, span]))
  const faults = byId.size === spans.length ? [] : ['two spans have one id']
  const apart = BigInt(withinMs) * 1_000_000n
  for (const span of spans) {
    const of = `${span.name} ${span.spanId}`
    if (span.to < span.from) faults.push(`${of} ends before it begins`)
    for (const link of span.links)
      if (byId.get(link.spanId)?.traceId !== link.traceId) faults.push(`${of} has a link to nothing`)
    const { parentSpanId } = span
    if (parentSpanId === undefined || remote.includes(parentSpanId)) continue
    const parent = byId.get(parentSpanId)
    if (parent === undefined) faults.push(`${of} has a parent that did not come`)
    else if (parent.traceId !== span.traceId) faults.push(`${of} is in another trace than its parent`)
    else if (span.from + apart < parent.from || span.to > parent.to + apart)
      faults.push(`${of} is not within the time of ${parent.name}`)
  }
  return faults
}
