import type { Row } from '../../../api/usage-rows.ts'
import { sayCost, sayHours, sayShare } from './words.ts'

/** What all apps together have used, and what sleep has saved. */
export function Sums({ all, currency }: { all: Row | undefined; currency: string | null }) {
  const always = all?.alwaysOn
  const money = (amount: number): string => `${sayCost(amount)} ${currency ?? ''}`
  const hasCost = all !== undefined && all.cost !== null && all.alwaysOnCost !== null
  return (
    <dl class="sums card">
      <div>
        <dt>Awake</dt>
        <dd>
          {all && sayHours(all.awakeSeconds)} {always && <small>of {sayHours(always.awakeSeconds)} always on</small>}
        </dd>
      </div>
      <div>
        <dt>Share of always on</dt>
        <dd>{all && sayShare(all.awakeSeconds, always?.awakeSeconds)}</dd>
      </div>
      {hasCost && (
        <>
          <div>
            <dt>Cost</dt>
            <dd>{money(all.cost ?? 0)}</dd>
          </div>
          <div>
            <dt>Saved by sleep</dt>
            <dd>
              {money((all.alwaysOnCost ?? 0) - (all.cost ?? 0))}{' '}
              <small>of {money(all.alwaysOnCost ?? 0)} always on</small>
            </dd>
          </div>
        </>
      )}
      {all && !hasCost && (
        <div>
          <dt>Cost</dt>
          <dd>
            <small>set SHADOW_PRICES for the masters</small>
          </dd>
        </div>
      )}
    </dl>
  )
}
