import type { AppName } from '../../model/names.ts'
import type { RowMonth } from '../../model/overview.ts'
import { costOf, type Prices } from '../../model/prices.ts'
import { boundsOfMonth, monthOf, NOTHING_USED } from '../../model/usage.ts'
import { alwaysOnOf } from '../usage/monthly.ts'
import type { UsageRecords } from '../usage/records.ts'
import type { AppFacts } from './app-facts.ts'

/** Reads what apps have used in the month of `now`; the result says it of each app. */
export async function readMonths(
  records: Pick<UsageRecords, 'ofMonth'>,
  prices: Prices | undefined,
  now: number,
): Promise<(facts: AppFacts) => RowMonth> {
  const month = monthOf(now)
  const { from } = boundsOfMonth(month)
  const used = await records.ofMonth(month)
  return ({ app, createdAt, reservedBytes }) => {
    const counters = used.get(app as AppName) ?? NOTHING_USED
    const { awakeSeconds } = counters
    if (prices === undefined) return { awakeSeconds, cost: null, alwaysOnCost: null }
    const alwaysOn = { ...counters, ...alwaysOnOf({ createdAt, reservedBytes }, from, now) }
    return { awakeSeconds, cost: costOf(counters, prices), alwaysOnCost: costOf(alwaysOn, prices) }
  }
}
