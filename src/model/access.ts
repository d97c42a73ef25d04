import { isIPv4, isIPv6 } from 'node:net'
import { ShadowError } from '../lib/errors.ts'
import { ipOf, networkOf } from '../lib/ip.ts'
import { type Duration, duration, toMs } from './quantities.ts'

/** An address or a network: `203.0.113.7`, `10.0.0.0/8`, `2001:db8::/32`; IPv4 is never written as IPv6. */
export type Network = string & { readonly brand: 'Network' }
/** How many requests are taken: `100/s`, `600/m`, `1000/h`, with `burst N` where not as many may come at once. */
export type Rate = string & { readonly brand: 'Rate' }

/**
 * Who may use an app, and how much. The rules are applied before the app is woken. Deny wins over allow; an allow list that is not
 * empty keeps everybody else out. The rules belong to the app and not to its task definition: a change restarts nothing.
 */
export type Access = {
  /** `redirect` sends visitors of plain HTTP on to HTTPS, `both` serves them. Left out: the setting of the front. */
  readonly https?: HttpsMode | undefined
  /** For how long browsers must use HTTPS only (RFC 6797). Left out: the setting of the front. */
  readonly hsts?: Hsts | undefined
  readonly allow: readonly Network[]
  readonly deny: readonly Network[]
  /** The rate of all clients together. */
  readonly rate?: Rate | undefined
  /** The rate of each client. A client is an IPv4 address, or a /64 of IPv6. */
  readonly ratePerClient?: Rate | undefined
  /** How many requests the app is given at a time, WebSockets not counted. Left out: `IN_FLIGHT`. */
  readonly inFlight?: number | undefined
  /** How long the app may take from the end of the request to the first byte of its answer. Left out: `ANSWER_WITHIN`. */
  readonly answerWithin?: Duration | 'never' | undefined
}

export const HTTPS_MODES = ['redirect', 'both'] as const
export type HttpsMode = (typeof HTTPS_MODES)[number]
export type Hsts = Duration | 'off'

/** Parses the mode for plain HTTP; fails with `bad-input`. */
export function httpsMode(text: string): HttpsMode {
  const mode = HTTPS_MODES.find(one => one === text)
  if (mode === undefined) throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is neither redirect nor both`)
  return mode
}

/** Parses the time for which browsers must use HTTPS only, or `off`; fails with `bad-input`. */
export const hsts = (text: string): Hsts => (text === 'off' ? text : duration(text))

/** The value of the header `Strict-Transport-Security` (RFC 6797, 6.1); undefined for `off`. */
export const hstsHeader = (value: Hsts): string | undefined =>
  value === 'off' ? undefined : `max-age=${Math.floor(toMs(value) / 1_000)}`
export const IN_FLIGHT = 1_000
export const ANSWER_WITHIN = '5m' as Duration

/** A rate in numbers: a bucket of `burst` requests that fills by `perSecond`. */
export type Bucket = { readonly perSecond: number; readonly burst: number }

/** Whether there is no rule. */
export const isOpen = ({ allow, deny, ...others }: Access): boolean =>
  allow.length === 0 && deny.length === 0 && Object.values(others).every(rule => rule === undefined)

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 }
const MOST_REQUESTS = 1_000_000

/** Parses an address or a network; fails with `bad-input`. */
export function network(text: string): Network {
  const fail = (why: string): never => {
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}": ${why}`)
  }
  const slash = text.indexOf('/')
  const written = slash < 0 ? text : text.slice(0, slash)
  const address = written.includes('%') ? undefined : ipOf(written)
  if (address === undefined) return fail('it is no IP address; write it like 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32')
  if (slash < 0) return address as Network
  const most = isIPv6(written) ? 128 : 32
  const prefix = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > most)
    return fail(`"${prefix.slice(0, 50)}" is not a number of bits; 0 to ${most} go after the /`)
  // An IPv4 address that is written as IPv6 has 96 bits before its own.
  const bits = most === 128 && isIPv4(address) ? Number(prefix) - 96 : Number(prefix)
  if (bits < 0) return fail('a network of IPv4 is written as IPv4, like 10.0.0.0/8')
  const first = networkOf(address, bits)
  if (first !== address) return fail(`the address has bits after the first ${prefix}; write ${first}/${bits}`)
  return `${address}/${bits}` as Network
}

/** Parses a rate; fails with `bad-input`. */
export function rate(text: string): Rate {
  const fail = (why: string): never => {
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" ${why}`)
  }
  const match = /^ *(\d{1,15}) *\/ *(s|m|h)(?: +burst +(\d{1,15}))? *$/.exec(text)
  if (match === null) return fail('is not a rate; write it like 100/s, 600/m or 100/s burst 200')
  const [, count = '', unit = '', burst] = match
  for (const number of [count, burst ?? count]) {
    if (Number(number) === 0) return fail('lets no request in; the least is 1')
    if (Number(number) > MOST_REQUESTS) return fail(`is more than ${MOST_REQUESTS} requests, which is the most`)
  }
  return `${Number(count)}/${unit}${burst === undefined ? '' : ` burst ${Number(burst)}`}` as Rate
}

/** The rate in numbers; without a burst, all requests of one unit may come at once. */
export function bucketOf(value: Rate): Bucket {
  const [, count = '', unit = '', burst = count] = /^(\d+)\/(\w)(?: burst (\d+))?$/.exec(value) ?? []
  return { perSecond: Number(count) / (SECONDS[unit] ?? 1), burst: Number(burst) }
}
