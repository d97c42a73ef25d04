import { isIPv6 } from 'node:net'
import { withoutPort } from '../../ip.ts'

/** Where a request came from, as this proxy sees it. */
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

/** A node identifier (RFC 7239, 6). IPv6 stands in brackets and is therefore quoted. The zone is dropped: it means something on this machine only. */
function nodeOf(address: string): string {
  const bare = address.replace(/%.*$/, '')
  return isIPv6(bare) ? `"[${bare}]"` : quoted(address)
}

function quoted(text: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** One element of `Forwarded`. Parameters that are not well formed are left out. */
export type Said = {
  readonly address: string | undefined
  readonly proto: 'http' | 'https' | undefined
  readonly host: string | undefined
}

/**
 * Parses the value of `Forwarded` (RFC 7239, 4), the first proxy's element first. A client may send an unclosed quote, which would swallow the
 * elements that proxies append. So of a list that is not well formed only the last element counts, if that one is well formed.
 */
export function readForwarded(list: string): readonly Said[] {
  return readElements(list) ?? readElements(list.slice(list.lastIndexOf(',') + 1)) ?? []
}

const TOKEN = /[\w!#$%&'*+.^`|~-]/
const HOST = /^[\w.~%!$&'()*+,;=:[\]-]+$/

/** Parses the elements in one pass, without a regular expression that could backtrack; undefined where they are not well formed. */
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
 * Translates `Forwarded` to X-Forwarded-*, for apps that know only the latter behind a proxy that sends only the former. The host is taken from
 * the last element, which the last proxy wrote and no client can have.
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
