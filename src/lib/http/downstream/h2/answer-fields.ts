import type { OutgoingHttpHeaders } from 'node:http2'
import type { NextHop } from '../../next-hop.ts'
import { httpDate } from '../../wire/date.ts'
import { Field } from '../../wire/fields.ts'
import type { Head } from '../../wire/head.ts'
import { HOP_BY_HOP, NEEDED, namesInConnection } from '../../wire/hop-by-hop.ts'
import { mayTrail } from '../compose-heads.ts'

/** The headers of an upstream's answer for HTTP/2: names and values in turn, `:status` first (RFC 9113, 8.2 and 8.3.2). */
export function answerFields(head: Head, hop: NextHop): string[] {
  const fields = [':status', String(head.status)]
  const drops = dropped(head, hop)
  for (let slot = 0; slot < head.count; slot += 1) {
    const field = head.field(slot)
    if (HOP_BY_HOP[field] || field === Field.transferEncoding || (field === Field.trailer && !head.chunked)) continue
    if (field === Field.contentLength && head.status === 204) continue
    const name = head.name(slot).toLowerCase()
    if (!drops(name, field)) fields.push(name, head.value(slot))
  }
  if (hop.hsts !== undefined && !head.hasHsts) fields.push('strict-transport-security', hop.hsts)
  if (!head.hasDate) fields.push('date', httpDate())
  const ours = hop.responseHeaders
  for (const name in ours) fields.push(name.toLowerCase(), ours[name] as string)
  return fields
}

/** The headers of an answer of our own. */
export function ownFields(status: number, headers: Readonly<Record<string, string>>, length: number): string[] {
  const fields = [':status', String(status)]
  for (const name in headers) fields.push(name.toLowerCase(), headers[name] as string)
  if (status !== 204 && status !== 304) fields.push('content-length', String(length))
  if (headers['date'] === undefined) fields.push('date', httpDate())
  return fields
}

/** The headers of an upstream's interim answer. */
export function interimFields(head: Head, hop: NextHop): OutgoingHttpHeaders {
  const fields: Record<string, number | string[]> = { ':status': head.status }
  const drops = dropped(head, hop)
  for (let slot = 0; slot < head.count; slot += 1) {
    const field = head.field(slot)
    if (HOP_BY_HOP[field] || field === Field.transferEncoding || field === Field.contentLength) continue
    const name = head.name(slot).toLowerCase()
    if (!drops(name, field)) add(fields, name, head.value(slot))
  }
  return fields
}

/** The trailers of an upstream's answer, without those that frame or route the message or are hop-by-hop (RFC 9110, 6.5.1). */
export function trailerFields(trailers: Head | undefined, hop: NextHop): OutgoingHttpHeaders {
  const fields: Record<string, string[]> = {}
  if (trailers === undefined) return fields
  for (let slot = 0; slot < trailers.count; slot += 1) {
    const name = trailers.name(slot).toLowerCase()
    if (!mayTrail(trailers, trailers.field(slot)) || (hop.strip !== undefined && name.startsWith(hop.strip))) continue
    add(fields, name, trailers.value(slot))
  }
  return fields
}

/** Tells of a header whether `NextHop.strip` or `Connection` drops it. */
function dropped(head: Head, { strip }: NextHop): (name: string, field: Field) => boolean {
  const named = head.nominates ? namesInConnection(head) : undefined
  return (name, field) =>
    (strip !== undefined && name.startsWith(strip)) || (named?.includes(name) === true && !NEEDED[field])
}

function add(fields: Record<string, number | string[]>, name: string, value: string): void {
  const values = fields[name]
  if (Array.isArray(values)) values.push(value)
  else fields[name] = [value]
}
