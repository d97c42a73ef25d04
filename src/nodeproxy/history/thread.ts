import { workerData } from 'node:worker_threads'
import { systemClock } from '../../lib/clock.ts'
import { repeat } from '../../lib/repeat.ts'
import { runThread } from '../../lib/threads/thread.ts'
import type { HistoryMethods, HistoryThreadData } from './protocol.ts'
import { HistoryStore } from './store.ts'

const PRUNED_EVERY_MS = 600_000

// Writes and reads the history of a node's apps: SQLite blocks its thread while the disk is slow, and requests must not wait for that.
await runThread(async ({ channel, log }) => {
  const { folder, node } = workerData as HistoryThreadData
  const store = new HistoryStore({
    folder,
    node,
    onSpoilt: (cause, movedTo) => log.error('history of apps cannot be read, and begins anew', { cause, movedTo }),
  })
  channel.serve<HistoryMethods>({
    add: ({ events, samples }) => store.add(events, samples),
    events: ({ app, ...query }) => store.events(app, query),
    series: ({ app, ...range }) => store.series(app, range),
    activity: ({ apps, from }) => apps.map(app => ({ app, hours: store.activity(app, from) })),
    forget: app => store.forget(app),
  })
  const prune = async (): Promise<void> => store.prune(Date.now())
  const pruning = repeat(systemClock, PRUNED_EVERY_MS, prune, cause => log.warn('history not pruned', { cause }))
  await prune().catch(cause => log.warn('history not pruned', { cause }))
  return {
    async [Symbol.asyncDispose]() {
      pruning[Symbol.dispose]()
      store[Symbol.dispose]()
    },
  }
})
