import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName } from '../../model/names.ts'
import type { RowCounts } from '../../model/overview.ts'
import type { Prices } from '../../model/prices.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Nodes } from '../nodes.ts'
import type { Storage } from '../storage/storage.ts'
import type { Tokens } from '../tokens.ts'
import type { UsageRecords } from '../usage/records.ts'
import type { SummariesOf } from './node-summaries.ts'
import type { RowPage } from './row-pages.ts'

export type OverviewParts = {
  readonly storage: Pick<Storage, 'list' | 'get'>
  readonly changes: Pick<ChangeStream, 'listen'>
  readonly nodes: Pick<Nodes, 'all'>
  readonly read: SummariesOf
  readonly owners: Tokens['owners']
  readonly usage: Pick<UsageRecords, 'ofMonth'>
  readonly prices: Prices | undefined
  /** The URL of the fronts, if it is known. */
  readonly front: () => string | undefined
  readonly clock: Clock
  readonly log: Log
}

export type OverviewPage = RowPage & {
  readonly counts: RowCounts
  readonly owners: string[]
  readonly nodes: string[]
  readonly silent: NodeName[]
}
