import type { IncomingMessage } from 'node:http'
import { plainAddress } from '../../ip.ts'
import { asForwardedHeaders, forwardedOf, type Origin } from '../wire/forwarded.ts'
import { viaOf } from '../wire/via.ts'

/** Headers as they came: name, value, name, value, with their case, order and repeats. */
export type RawHeaders = readonly string[]

// Hop-by-hop (RFC 9110, 7.6.1), and Proxy-Auth*, which are between a client and its own proxy.
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
])
// A client that names these in `Connection` would have us drop what the message cannot be understood without, or which way it came.
const NEVER_HOP_BY_HOP = new Set(['content-length', 'date', 'host', 'trailer', 'via'])
const CLAIMS_OF_ORIGIN = /^(forwarded|x-forwarded-.+|x-real-ip)$/

/** The headers that go on to the next hop; `drop` names more that do not. */
export function endToEnd(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const named = namedInConnection(raw)
  return filter(raw, name => !HOP_BY_HOP.has(name) && !named?.has(name) && !drop(name))
}

/** The same of trailers, which must not carry what frames or routes the message (RFC 9110, 6.5.1). */
export const trailersToSend = (raw: RawHeaders, drop: (name: string) => boolean): [string, string][] =>
  pairs(
    filter(
      raw,
      name => !HOP_BY_HOP.has(name) && (name === 'date' || !isNeeded(name)) && name !== 'expect' && !drop(name),
    ),
  )

const isNeeded = (name: string): boolean => NEVER_HOP_BY_HOP.has(name) || CLAIMS_OF_ORIGIN.test(name)

/** All values of a header, as they came. */
export function valuesOf(raw: RawHeaders, wanted: string): string[] {
  return pairs(raw)
    .filter(([name]) => name.length === wanted.length && name.toLowerCase() === wanted)
    .map(([, value]) => value)
}

/** What the upstream is told of where the request came from, and which way; see `Hop.forwarded`. */
export function tellOrigin(kept: RawHeaders, request: IncomingMessage, how: 'replace' | 'append'): string[] {
  const origin = originOf(request)
  const { httpVersion, httpVersionMajor } = request
  const via = ['Via', viaOf(httpVersionMajor > 1 ? String(httpVersionMajor) : httpVersion)]
  const { address, proto, host } = origin
  if (how === 'replace')
    return [
      ...filter(kept, name => !CLAIMS_OF_ORIGIN.test(name)),
      ...['X-Forwarded-For', address, 'X-Forwarded-Proto', proto],
      ...(host === undefined ? [] : ['X-Forwarded-Host', host]),
      ...['Forwarded', forwardedOf(origin), ...via],
    ]
  const has = (name: string): boolean => valuesOf(kept, name).length > 0
  const told = filter(kept, name => name !== 'x-forwarded-for' && name !== 'forwarded')
  // Beside X-Forwarded-* of a proxy that says no more, ours alone would claim that the proxy is the client.
  if (has('forwarded') || !['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'].some(has))
    told.push('Forwarded', [...valuesOf(kept, 'forwarded'), forwardedOf(origin)].join(', '))
  const chain = valuesOf(kept, 'x-forwarded-for')
  const said = asForwardedHeaders(chain.length > 0 ? [] : valuesOf(kept, 'forwarded'))
  told.push('X-Forwarded-For', [...chain, ...said.chain, address].join(', '))
  if (!has('x-forwarded-proto')) told.push('X-Forwarded-Proto', said.proto ?? proto)
  if (host !== undefined && !has('x-forwarded-host')) told.push('X-Forwarded-Host', said.host ?? host)
  return [...told, ...via]
}

function originOf({ socket, headers }: IncomingMessage): Origin {
  return {
    address: plainAddress(socket.remoteAddress ?? 'unknown'),
    proto: 'encrypted' in socket ? 'https' : 'http',
    host: headers.host,
  }
}

function namedInConnection(raw: RawHeaders): Set<string> | undefined {
  const values = valuesOf(raw, 'connection')
  if (values.length === 0) return undefined
  const named = new Set<string>()
  for (const value of values) {
    for (const token of value.split(',')) {
      const name = token.trim().toLowerCase()
      if (!isNeeded(name)) named.add(name)
    }
  }
  return named
}

function filter(raw: RawHeaders, keep: (name: string) => boolean): string[] {
  return pairs(raw)
    .filter(([name]) => keep(name.toLowerCase()))
    .flat()
}

function pairs(raw: RawHeaders): [string, string][] {
  const all: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return all
}
