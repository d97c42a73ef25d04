import { ShadowError } from '../lib/errors.ts'

/** A length of time as a person writes it: `90s`, `1h30m`, `250ms`; always with its unit. */
export type Duration = string & { readonly brand: 'Duration' }
/** An amount of bytes as a person writes it: `512MiB`, `1.5GiB`, `1GB`, or by Docker's `512m` and `1g`; always with its unit. */
export type Size = string & { readonly brand: 'Size' }

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  // As Docker writes them (docker run --memory 512m).
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
}

/** Parses a duration, at least `0s`; fails with `bad-input`. */
export function duration(text: string): Duration {
  if (durationToMs(text) === undefined)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a duration; write it like 90s, 5m or 1h30m`)
  return text as Duration
}

/** Parses a size, more than nothing; fails with `bad-input`. */
export function size(text: string): Size {
  if (sizeToBytes(text) === undefined)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a size; write it like 512MiB or 1GiB`)
  return text as Size
}

/** The duration in milliseconds. */
export const toMs = (value: Duration): number => durationToMs(value) ?? 0
/** The size in bytes. */
export const toBytes = (value: Size): number => sizeToBytes(value) ?? 0
/** Parser for settings: a duration, in milliseconds. */
export const durationMs = (text: string): number => toMs(duration(text))
/** Parser for settings: a size, in bytes. */
export const sizeBytes = (text: string): number => toBytes(size(text))

function durationToMs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined
  let sum = 0
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
    sum += Number(number) * (MS[unit ?? ''] ?? 0)
  return Number.isFinite(sum) ? Math.round(sum) : undefined
}

function sizeToBytes(text: string): number | undefined {
  // Docker's single letters as its documents write them; "5G" may be meant either way.
  const match = /^(\d+(?:\.\d+)?) ?([kmgt]i?b|b)$/i.exec(text) ?? /^(\d+(?:\.\d+)?)([kmgt])$/.exec(text)
  if (match === null) return undefined
  const bytes = Math.round(Number(match[1]) * (BYTES[(match[2] ?? '').toLowerCase()] ?? 0))
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Milliseconds in the words people read: `250ms`, `4.2s`, `5m`, `1h30m`. */
export function sayMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(1))}s`
  const parts: string[] = []
  let left = Math.round(ms / 1_000)
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(left / seconds)
    left -= count * seconds
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join('')
}

/** Bytes in the words people read: `512MiB`, `1.5GiB`. */
export function sayBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  return `${Number((bytes / 2 ** (10 * power)).toFixed(1))}${units[power]}`
}

/** Parses a length of time of at least a second, or `never`; fails with `bad-input`. */
export function orNever(text: string): Duration | 'never' {
  if (text === 'never') return text
  const parsed = duration(text)
  if (toMs(parsed) < 1_000) throw new ShadowError('bad-input', 'must be at least 1s, or never')
  return parsed
}
