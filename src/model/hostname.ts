import { domainToASCII } from 'node:url'
import { ShadowError } from '../lib/errors.ts'

/** A hostname as we compare them: lower case, ASCII (IDN in punycode), no port, no dot at the end. */
export type Hostname = string & { readonly brand: 'Hostname' }

/** Parses a domain that a person typed; fails with `bad-input`. */
export function hostname(text: string): Hostname {
  const fail = (why: string): never => {
    throw new ShadowError('bad-input', `domain "${text.slice(0, 300)}": ${why}`)
  }
  if (/[/:?#@\s]/.test(text)) fail('give the hostname alone, without scheme, port or path')
  const ascii = domainToASCII(text.replace(/\.$/, ''))
  if (ascii === '') fail('it is not a hostname')
  if (ascii.length > 253) fail(`it has ${ascii.length} characters; 253 at most`)
  for (const label of ascii.split('.')) {
    if (!/^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label)) fail(`"${label}" is not a label of 1 to 63 of a-z, 0-9 and -`)
  }
  if (/^\d+$/.test(ascii.slice(ascii.lastIndexOf('.') + 1))) fail('it is an IP address, not a name')
  return ascii as Hostname
}

/** The hostname that a Host header names (RFC 9110, 7.2), or undefined where it names none that we could know. */
export function hostOf(header: string | undefined): Hostname | undefined {
  if (header === undefined) return undefined
  const end = hostEnd(header)
  if (end > 0) return (end === header.length ? header : header.slice(0, end)) as Hostname
  const bare = header.replace(/:\d*$/, '')
  try {
    return hostname(bare)
  } catch (error) {
    if (error instanceof ShadowError) return undefined
    throw error
  }
}

/** The index where the name ends, for a header in canonical form with or without a port; -1 for any other, which must be parsed. Fast path. */
function hostEnd(header: string): number {
  let end = 0
  let label = 0
  let isNumber = true
  for (; end < header.length; end += 1) {
    const code = header.charCodeAt(end)
    if (code === DOT) {
      if (!isLabel(header, label, end)) return -1
      label = end + 1
      isNumber = true
    } else if ((code >= 0x61 && code <= 0x7a) || code === HYPHEN) isNumber = false
    else if (code < 0x30 || code > 0x39) break
  }
  // If the last label is all digits, it is an IPv4 address and not a name.
  if (end > 253 || isNumber || !isLabel(header, label, end)) return -1
  if (end < header.length && header.charCodeAt(end) !== 0x3a) return -1
  for (let at = end + 1; at < header.length; at += 1)
    if (header.charCodeAt(at) < 0x30 || header.charCodeAt(at) > 0x39) return -1
  return end
}

const DOT = 0x2e
const HYPHEN = 0x2d

const isLabel = (text: string, from: number, to: number): boolean =>
  to > from && to - from <= 63 && text.charCodeAt(from) !== HYPHEN && text.charCodeAt(to - 1) !== HYPHEN
