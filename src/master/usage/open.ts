import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { BudgetState } from '../../model/budget.ts'
import type { AppName } from '../../model/names.ts'
import type { Prices } from '../../model/prices.ts'
import type { Apps } from '../apps.ts'
import { backupRecords } from '../backups/records.ts'
import type { Records } from '../records.ts'
import type { Storage } from '../storage/storage.ts'
import type { Tokens } from '../tokens.ts'
import { appBudgets } from './budgets.ts'
import type { UsageParts } from './handlers.ts'
import { usageOfMonth } from './monthly.ts'
import { usageRecords } from './records.ts'
import { countStored } from './stored.ts'

type Given = {
  readonly storage: Storage
  readonly seals: Seals
  readonly records: Records
  readonly tokens: Tokens
  readonly apps: Pick<Apps, 'setBudget'>
  readonly prices: Prices | undefined
  readonly clock: Clock
  readonly log: Log
}

const PAGE = 1_000

/** Puts the room of accounting together. `count` counts what is stored, until its signal aborts. */
export function openUsage({ storage, seals, records, tokens, apps, prices, clock, log }: Given): UsageParts & {
  count(signal: AbortSignal): Promise<void>
} {
  const usage = usageRecords(storage)
  const names = async (): Promise<readonly AppName[]> => {
    const all: AppName[] = []
    for (let page: readonly AppName[] = []; all.length === 0 || page.length === PAGE; ) {
      page = await records.names(all.at(-1), PAGE)
      all.push(...page)
      if (page.length === 0) break
    }
    return all
  }
  const find = async (app: AppName) => {
    const record = await records.read(app)
    return record.state === 'live' ? record.app : undefined
  }
  const backups = backupRecords({ storage, seals })
  const owners = () => tokens.owners()
  const setState = (app: AppName, state: BudgetState | undefined) => apps.setBudget(app, state, clock.wall())
  return {
    records: usage,
    budgets: appBudgets({ storage, usage, owners, names, setState, prices, clock, log }),
    prices,
    ofMonth: usageOfMonth({ records: usage, find, names, owners, clock }),
    count: signal => countStored({ usage, backups, storage, clock, log }, signal),
  }
}
