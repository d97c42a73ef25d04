import { isIPv6 } from 'node:net'
import { withoutPort } from '../../ip.ts'

/** Where a request came from, as this hop knows it. */
export type Origin = {
  /** The client's address, or `unknown`. */
  readonly address: string
  readonly proto: 'http' | 'https'
  readonly host: string | undefined
}

/** Our element of `Forwarded` (RFC 7239, 4). */
export function forwardedOf({ address, proto, host }: Origin): string {
  const named = host === undefined ? '' : `host=${quoted(host)};`
  return `for=${nodeOf(address)};${named}proto=${proto}`
}

/** RFC 7239, 6: IPv6 in brackets, which makes it a text to be quoted; a zone is of this machine alone. */
function nodeOf(address: string): string {
  const bare = address.replace(/%.*$/, '')
  return isIPv6(bare) ? `"[${bare}]"` : quoted(address)
}

function quoted(text: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** What one element of `Forwarded` says; what it says in a way that is none is left out. */
export type Said = {
  readonly address: string | undefined
  readonly proto: 'http' | 'https' | undefined
  readonly host: string | undefined
}

/**
 * Reads a list of `Forwarded` (RFC 7239, 4), the first proxy's element first. A client may have begun a quoted text that swallows what a
 * proxy added behind it: of a list that is not well formed only its last element counts, if that is.
 */
export function readForwarded(list: string): readonly Said[] {
  return readElements(list) ?? readElements(list.slice(list.lastIndexOf(',') + 1)) ?? []
}

const TOKEN = /[\w!#$%&'*+.^`|~-]/
const HOST = /^[\w.~%!$&'()*+,;=:[\]-]+$/

/** Reads the elements in one pass, without any regular expression that could go back; undefined where they are not well formed. */
function readElements(list: string): readonly Said[] | undefined {
  const elements: Said[] = []
  let pairs = new Map<string, string>()
  let at = 0
  const skipSpace = (): void => {
    while (list[at] === ' ' || list[at] === '\t') at += 1
  }
  const token = (): string => {
    const from = at
    while (at < list.length && TOKEN.test(list.charAt(at))) at += 1
    return list.slice(from, at)
  }
  const quotedText = (): string | undefined => {
    let text = ''
    for (at += 1; at < list.length; at += 1) {
      if (list[at] === '"') {
        at += 1
        return text
      }
      if (list[at] === '\\') at += 1
      text += list.charAt(at)
    }
    return undefined
  }
  for (;;) {
    skipSpace()
    const name = token()
    if (name !== '') {
      if (list[at] !== '=') return undefined
      at += 1
      const value = list[at] === '"' ? quotedText() : token()
      if (value === undefined || value === '') return undefined
      pairs.set(name.toLowerCase(), value)
    }
    skipSpace()
    const next = list[at]
    at += 1
    if (next === ';') continue
    if (next !== undefined && next !== ',') return undefined
    if (pairs.size > 0) elements.push(said(pairs))
    if (next === undefined) return elements
    pairs = new Map()
  }
}

function said(pairs: ReadonlyMap<string, string>): Said {
  const proto = pairs.get('proto')?.toLowerCase()
  const host = pairs.get('host')
  return {
    address: pairs.get('for'),
    proto: proto === 'http' || proto === 'https' ? proto : undefined,
    host: host !== undefined && HOST.test(host) ? host : undefined,
  }
}

/**
 * What `Forwarded` says in the words of X-Forwarded-*: for apps that know only these, behind a proxy that sends only that. The host is the
 * last proxy's word, which no client can have written before it.
 */
export function asForwardedHeaders(elements: readonly string[]): {
  readonly chain: string[]
  readonly proto: string | undefined
  readonly host: string | undefined
} {
  const all = elements.length === 0 ? [] : readForwarded(elements.join(', '))
  return {
    chain: all.flatMap(({ address }) => (address === undefined ? [] : [withoutPort(address).replace(/[,\s]/g, '')])),
    proto: all.find(({ proto }) => proto !== undefined)?.proto,
    host: all.at(-1)?.host,
  }
}
