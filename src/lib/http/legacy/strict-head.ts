import type { IncomingMessage } from 'node:http'
import { ShadowError } from '../../errors.ts'
import type { Counters } from '../counters.ts'
import { type Limits, tooLarge } from '../guard/limits.ts'
import { HOST, TARGET } from '../wire/bytes.ts'
import { isOurs, LOOP, MOST_PASSES } from '../wire/via.ts'
import { valuesOf } from './headers.ts'

/** What is wrong or ambiguous in the head, beyond what node:http's strict parser refuses itself. */
export function faultOf(request: IncomingMessage): ShadowError | undefined {
  const fault = framingFault(request) ?? targetFault(request) ?? hostFault(request)
  if (fault !== undefined) return new ShadowError('bad-input', fault)
  return passes(request) > MOST_PASSES ? new ShadowError('loop-detected', LOOP) : undefined
}

/** Whether the request is more than what is taken, and of what; counts it. */
export function excessOf(request: IncomingMessage, limits: Limits, counters: Counters): ShadowError | undefined {
  const { rawHeaders, headers, method = '', url = '' } = request
  if (method.length + 1 + url.length > limits.lineBytes) {
    counters.refusedHead(414)
    return new ShadowError('target-too-long', `the request line is longer than ${limits.lineBytes} bytes`)
  }
  if (rawHeaders.length / 2 > limits.headers) {
    counters.refusedHead(431, true)
    return new ShadowError('head-too-large', `more than ${limits.headers} headers`)
  }
  if (Number(headers['content-length'] ?? 0) <= limits.bodyBytes) return undefined
  counters.bodiesTooLarge += 1
  return tooLarge(limits.bodyBytes)
}

/** Makes a URL for target (absolute form, RFC 9112, 3.2.2) the path that it names; its host takes the place of Host. */
export function toOriginForm(request: IncomingMessage): void {
  const { url = '', rawHeaders, headers, method } = request
  const [, host, path = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(url) ?? []
  if (host === undefined) return
  request.url = path.startsWith('/') ? path : method === 'OPTIONS' && path === '' ? '*' : `/${path}`
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (at < 0) rawHeaders.push('Host', host)
  else rawHeaders[at + 1] = host
  headers.host = host
}

function framingFault({ rawHeaders, httpVersion, headers }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return `HTTP/${httpVersion} is not served here`
  const codings = valuesOf(rawHeaders, 'transfer-encoding')
  if (codings.length === 0) return undefined
  if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked') return 'a Transfer-Encoding other than chunked'
  if (httpVersion === '1.0') return 'Transfer-Encoding in HTTP/1.0'
  return headers['content-length'] === undefined ? undefined : 'both Content-Length and Transfer-Encoding'
}

function targetFault({ url = '', method }: IncomingMessage): string | undefined {
  if (!isAll(TARGET, url)) return 'a byte in the target that no target has'
  const absolute = /^https?:\/\/([^/?]*)/i.exec(url)
  if (absolute !== null) return hostnameFault(absolute[1] ?? '')
  if (url.startsWith('/') || (url === '*' && method === 'OPTIONS')) return undefined
  return `the request target "${url.slice(0, 100)}" is neither a path nor a URL`
}

function hostFault({ rawHeaders, httpVersion }: IncomingMessage): string | undefined {
  const [host, another] = valuesOf(rawHeaders, 'host')
  if (another !== undefined) return 'more than one Host'
  if (host === undefined) return httpVersion === '1.0' ? undefined : 'no Host'
  return hostnameFault(host)
}

function hostnameFault(host: string): string | undefined {
  if (host === '') return 'an empty host'
  return isAll(HOST, host) ? undefined : 'a byte in the host that no host has'
}

const isAll = (table: Uint8Array, text: string): boolean => Buffer.from(text, 'latin1').every(byte => table[byte] === 1)

function passes({ rawHeaders }: IncomingMessage): number {
  const elements = valuesOf(rawHeaders, 'via').flatMap(value => value.split(','))
  return elements.map(element => Buffer.from(element.trim(), 'latin1')).filter(at => isOurs(at, 0, at.length)).length
}
