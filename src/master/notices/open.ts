import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { BackupSchedule } from '../backups/schedule.ts'
import type { Nodes } from '../nodes.ts'
import type { SummariesOf } from '../overview/node-summaries.ts'
import type { Storage } from '../storage/storage.ts'
import type { Budgets } from '../usage/budgets.ts'
import { backupSource } from './backup-source.ts'
import { budgetSource } from './budget-source.ts'
import type { NoticeParts } from './handlers.ts'
import { instanceSource } from './instance-source.ts'
import { nodeSource } from './node-source.ts'
import { Notices } from './notices.ts'
import { noticeQueues } from './queues.ts'
import { isWebhookKey, webhookRecords } from './webhooks.ts'

type Given = {
  readonly storage: Storage
  readonly seals: Seals
  readonly nodes: Pick<Nodes, 'all' | 'list'>
  readonly read: SummariesOf
  readonly budgets: Pick<Budgets, 'standings'>
  readonly backups: Pick<BackupSchedule, 'late'>
  /** Tells the other masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** Puts the room of the notices together. `run` watches and sends, until its signal aborts. */
export function openNotices({
  storage,
  seals,
  nodes,
  read,
  budgets,
  backups,
  announce,
  clock,
  log,
}: Given): NoticeParts & {
  run(signal: AbortSignal): Promise<void>
  changed(key: string): void
  missed(): void
} {
  const webhooks = webhookRecords({ storage, seals, clock })
  const queues = noticeQueues(storage)
  const sources = [
    instanceSource({ nodes, read, clock }),
    nodeSource({ nodes, clock }),
    budgetSource(budgets),
    backupSource(backups),
  ]
  const notices = new Notices({ storage, webhooks, queues, sources, clock, log })
  const changed = (key: string): void => {
    if (isWebhookKey(key)) notices.changed()
  }
  return {
    webhooks,
    queues,
    clock,
    announce: key => {
      changed(key)
      announce(key)
    },
    run: signal => notices.run(signal),
    changed,
    missed: () => notices.changed(),
  }
}
