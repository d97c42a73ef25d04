import { isIP } from 'node:net'

/** What a front is told of a certificate that it asks for. */
export const CERTIFICATE_STATES = ['ready', 'ordered', 'failed', 'none'] as const

/** A certificate that comes by ACME, and the state of its order. All times are in milliseconds since the epoch. */
export type OrderTimes = {
  readonly wantedAt: number
  /** Of the certificate that there is. */
  readonly validity?: { readonly from: number; readonly until: number } | undefined
  /** Not before this time is the next try, after a failure. */
  readonly nextAt?: number | undefined
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const FIRST_RETRY = 2 * MINUTE
const RETRY_GROWS = 3
const LONGEST_RETRY = 12 * HOUR

/** When a certificate is renewed: when a third of its lifetime is left. */
const renewalAt = ({ from, until }: { readonly from: number; readonly until: number }): number =>
  until - Math.floor((until - from) / 3)

/** When the next order of this certificate is due. */
export function dueAt({ wantedAt, validity, nextAt = 0 }: OrderTimes): number {
  return Math.max(validity === undefined ? wantedAt : renewalAt(validity), nextAt)
}

/**
 * How long to wait after so many failures in a row: 2 minutes, then three times as long each time, at most 12 hours. `random` is from 0 to 1: the
 * wait is shorter or longer by up to a quarter, so that many certificates that failed together are not tried together. A certificate that expires
 * soon is tried again at least as often as a twelfth of what is left of its lifetime, and never more often than each 2 minutes.
 */
export function retryAfter(failures: number, random: number, leftMs = Number.POSITIVE_INFINITY): number {
  const longest = Math.max(FIRST_RETRY, Math.min(LONGEST_RETRY, leftMs / 12))
  const wait = Math.min(FIRST_RETRY * RETRY_GROWS ** (failures - 1), longest)
  return Math.round(wait * (0.75 + random / 2))
}

/**
 * The name of the certificate for a hostname: one of the names that are ordered by DNS (`*.example.com` covers one more label), or the hostname
 * itself. Undefined for names that no authority may sign.
 */
export function certificateName(hostname: string, byDns: readonly string[]): string | undefined {
  if (byDns.includes(hostname)) return hostname
  const dot = hostname.indexOf('.')
  const wildcard = `*${hostname.slice(dot)}`
  if (dot > 0 && byDns.includes(wildcard)) return wildcard
  return dot <= 0 || isIP(hostname) !== 0 || hostname.endsWith('.localhost') ? undefined : hostname
}
