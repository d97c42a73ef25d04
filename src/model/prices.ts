import { ShadowError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { UsageCounters } from './usage.ts'

/** What each thing costs, and how many of the counter's units that price is for. */
const PRICED = {
  'awake-hour': { of: 'awakeSeconds', units: 3_600 },
  'memory-gib-hour': { of: 'memoryGiBSeconds', units: 3_600 },
  'cpu-hour': { of: 'cpuSeconds', units: 3_600 },
  // A month of a price list has 730 hours: a twelfth of a year.
  'volume-gib-month': { of: 'volumeGiBHours', units: 730 },
  'backup-gib-month': { of: 'backupGiBHours', units: 730 },
  'million-requests': { of: 'requests', units: 1_000_000 },
  'egress-gib': { of: 'egressBytes', units: 2 ** 30 },
} as const satisfies Record<string, { of: keyof UsageCounters; units: number }>

type Priced = keyof typeof PRICED
const NAMES = Object.keys(PRICED) as Priced[]

export type Prices = { readonly currency: string; readonly each: Readonly<Partial<Record<Priced, number>>> }

/** Parses `currency=EUR, memory-gib-hour=0.004, …`, also with one on each line and comments after #; fails with `bad-input`. */
export function priceTable(text: string): Prices {
  const each: Partial<Record<Priced, number>> = {}
  let currency = ''
  const pairs = text.replace(/#.*/g, '').split(/[,\n]/)
  for (const pair of pairs.map(one => one.trim()).filter(Boolean)) {
    const [, name = '', value = ''] = /^([^=\s]+)\s*=\s*(\S+)$/.exec(pair) ?? []
    if (name === 'currency') currency = value
    else if (!(NAMES as readonly string[]).includes(name)) throw unknown(pair, name)
    else if (!/^\d+(\.\d+)?$/.test(value)) throw wrong(`"${pair}": write a price as 0.004`)
    else each[name as Priced] = Number(value)
  }
  if (!/^[\p{L}\p{Sc}]{1,8}$/u.test(currency)) throw wrong('currency is needed, such as currency=EUR')
  return { currency, each }
}

/** What so much of everything costs. */
export const costOf = (used: UsageCounters, { each }: Prices): number =>
  NAMES.reduce((sum, name) => sum + ((each[name] ?? 0) * used[PRICED[name].of]) / PRICED[name].units, 0)

const wrong = (message: string): ShadowError => new ShadowError('bad-input', `prices: ${message}`)

function unknown(pair: string, name: string): ShadowError {
  const [meant] = nearest(name, [...NAMES, 'currency'])
  const hint = meant === undefined ? `prices are of ${NAMES.join(', ')}` : `did you mean ${meant}?`
  return wrong(`"${pair.slice(0, 100)}" is no price; ${hint}`)
}
