import { FIELD_NAMES, Field } from './fields.ts'
import type { Head } from './head.ts'
import { tokens } from './list-elements.ts'

/** The headers that concern one connection only (RFC 9110, 7.6.1), by their names in lower case. */
const NAMES: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  // Between a client and its own proxy.
  'proxy-authenticate',
  'proxy-authorization',
  // Beside an offer of h2c (RFC 7540, 3.2.1). Some clients do not name it in `Connection`, as they must.
  'http2-settings',
]

/**
 * Tells for each field whether it is hop-by-hop. `Transfer-Encoding` is not: bodies are forwarded as they are framed, and the code that composes a
 * head decides about that line.
 */
export const HOP_BY_HOP: readonly boolean[] = Object.values(Field).map(
  field => field !== Field.transferEncoding && NAMES.some(name => FIELD_NAMES[name] === field),
)

const IN_HTTP2: readonly string[] = ['te', 'proxy-authenticate', 'proxy-authorization']

/** The names of headers that HTTP/2 does not have (RFC 9113, 8.2.2). It has `TE: trailers`. */
export const NOT_IN_HTTP2: ReadonlySet<string> = new Set(NAMES.filter(name => !IN_HTTP2.includes(name)))

const KEPT: readonly Field[] = [Field.contentLength, Field.transferEncoding, Field.host, Field.trailer, Field.date]

/**
 * Tells for each field whether it is forwarded although `Connection` names it: without it the message could not be understood, or its origin would
 * be lost.
 */
export const NEEDED: readonly boolean[] = Object.values(Field).map(
  field => KEPT.includes(field) || (field >= Field.via && field < Field.folded),
)

/** The names that `Connection` declares hop-by-hop, in lower case. */
export function namesInConnection(head: Head): string[] {
  const names: string[] = []
  for (let slot = 0; slot < head.count; slot += 1) {
    if (head.field(slot) !== Field.connection) continue
    for (const [from, to] of tokens(head.bytes, head.base + head.valueStart(slot), head.base + head.valueEnd(slot)))
      names.push(head.bytes.toString('latin1', from, to).toLowerCase())
  }
  return names
}
