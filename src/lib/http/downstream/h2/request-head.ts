import type { Head } from '../../wire/head.ts'
import { WHOLE } from '../../wire/head.ts'
import { NOT_IN_HTTP2 } from '../../wire/hop-by-hop.ts'
import { parseRequest } from '../../wire/parse.ts'

const PSEUDO = [':method', ':path', ':scheme', ':authority']
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const NO_VALUE = /[\0-\x08\x0a-\x1f\x7f]/
const NO_NAME = /[^a-z0-9!#$%&'*+.^_`|~-]/
const NO_TARGET = /[^\x21-\x7e\x80-\xff]/
const BAD = 400

export type Refused = { readonly status: number; readonly fault: string }

/**
 * Translates the headers of a request (RFC 9113, 8.3.1), names and values in turn, to a head of HTTP/1.1, and parses that with the same strict parser.
 * So limits, framing and refusals are the same for all clients. `ended`: no body follows.
 */
export function readHead(head: Head, raw: readonly string[], ended: boolean): Refused | undefined {
  const translated = translate(raw, ended)
  if (typeof translated !== 'string') return translated
  const bytes = Buffer.from(translated, 'latin1')
  const code = parseRequest(head, bytes, 0, bytes.length)
  if (code !== WHOLE) return code === 0 ? bad('a head that does not end') : { status: code, fault: head.fault }
  // A second barrier: no header can have ended the head early.
  if (head.length !== bytes.length) return bad('a header that ends the head')
  if (ended && head.contentLength > 0) return bad('a Content-Length without a body')
  return undefined
}

function translate(raw: readonly string[], ended: boolean): string | Refused {
  let method: string | undefined
  let path: string | undefined
  let authority: string | undefined
  let hosts = ''
  let lines = ''
  let cookies = ''
  let sized = false
  let pseudo = true
  const seen: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    if (NO_VALUE.test(value)) return bad(`a character in ${JSON.stringify(name)} that no header has`)
    if (name.charCodeAt(0) === 0x3a) {
      if (!pseudo || seen.includes(name) || !PSEUDO.includes(name)) return bad(`${JSON.stringify(name)} out of place`)
      seen.push(name)
      if (name === ':method') method = value
      else if (name === ':path') path = value
      else if (name === ':authority') authority = value
      continue
    }
    pseudo = false
    if (name === '' || NO_NAME.test(name)) return bad(`the name ${JSON.stringify(name)}`)
    if (NOT_IN_HTTP2.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers'))
      return bad(`"${name}: ${value.slice(0, 100)}", which HTTP/2 has not`)
    if (name === 'cookie') cookies += cookies === '' ? value : `; ${value}`
    else if (name === 'host') {
      if (authority !== undefined && authority.toLowerCase() !== value.toLowerCase())
        return bad('a Host other than its :authority')
      if (authority === undefined) hosts += `host: ${value}\r\n`
    } else {
      if (name === 'content-length') sized = true
      lines += `${name}: ${value}\r\n`
    }
  }
  if (method === 'CONNECT') return { status: 405, fault: 'CONNECT is not served' }
  if (method === undefined || /[^A-Za-z-]/.test(method)) return bad('no :method')
  if (path === undefined || NO_TARGET.test(path) || !(path.startsWith('/') || (path === '*' && method === 'OPTIONS')))
    return bad('a :path that is neither a path nor *')
  const host = authority === undefined ? hosts : `host: ${authority}\r\n`
  const cookie = cookies === '' ? '' : `cookie: ${cookies}\r\n`
  const framing = ended || sized ? '' : 'transfer-encoding: chunked\r\n'
  return `${method} ${path} HTTP/1.1\r\n${host}${lines}${cookie}${framing}\r\n`
}

/** Translates trailers to those of a chunked body, with the empty line; undefined if one is not well formed. */
export function trailerLines(raw: readonly string[]): string | undefined {
  let lines = ''
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    if (name === '' || NO_NAME.test(name) || NO_VALUE.test(value)) return undefined
    lines += `${name}: ${value}\r\n`
  }
  return `${lines}\r\n`
}

const bad = (what: string): Refused => ({ status: BAD, fault: what })
