import { noLog } from '../../src/lib/log.ts'
import { watchChanges } from '../../src/master/change-watcher.ts'
import { appLookup } from '../../src/master/lookup.ts'
import { hostnameOf, nameOf, routeAt } from './apps.ts'
import type { EventQueue } from './event-queue.ts'
import { usedBytes } from './memory.ts'

type Watched = Parameters<typeof watchChanges>[0]
type LookedUp = Parameters<typeof appLookup>[0]

const APP = /app-(\d+)/
const SECOND_MS = 1_000

/**
 * The memory in bytes that a master keeps for this many apps: the etags by which it finds changes that nobody announced, and the hostnames
 * that it looked up, each of them once. The bucket is made up: it names the documents, and holds none.
 */
export async function masterBytes(apps: number, clock: EventQueue): Promise<number> {
  const ending = new AbortController()
  const empty = usedBytes()
  const watching = watchChanges({ ...bucketOf(apps), clock, log: noLog } as Watched, ending.signal)
  await clock.runUntil(clock.now() + SECOND_MS)
  const checked = new Promise<void>(resolve => setImmediate(resolve))
  await checked
  const lookup = appLookup({
    claims: { appOf: async (host: string) => APP.exec(host)?.[0] },
    records: {
      read: async (name: string) => ({ state: 'live', app: routeAt(hostnameOf(Number(APP.exec(name)?.[1]))) }),
    },
  } as unknown as LookedUp)
  for (let app = 0; app < apps; app++) await lookup.atHost(hostnameOf(app))
  const full = usedBytes()
  ending.abort()
  await watching
  await lookup.atHost(hostnameOf(0)) // until here the collector must not free it
  return full - empty
}

/** A bucket that lists so many apps, page by page. */
function bucketOf(apps: number) {
  const page = (after: string | undefined, limit: number): Map<string, string> => {
    const first = after === undefined ? 0 : Number(APP.exec(after)?.[1]) + 1
    const numbers = Array.from({ length: Math.max(0, Math.min(limit, apps - first)) }, (_, at) => first + at)
    const entries = numbers.map(app => [`apps/${nameOf(app)}.json`, `"${String(app).padStart(32, '0')}"`])
    // Parsed, as the answer of a bucket is: strings that were put together here would take more memory.
    return new Map(JSON.parse(JSON.stringify(entries)))
  }
  return {
    storage: {
      versions: async (_: string, { after, limit }: { after?: string; limit: number }) => page(after, limit),
    },
    journal: { look: async () => ({ keys: [], missed: false }) },
    changes: { checked: () => undefined, changed: () => undefined, removed: () => undefined, restart: () => undefined },
    records: {},
    tokens: {},
    members: undefined,
  } as unknown as Omit<Watched, 'clock' | 'log'>
}
