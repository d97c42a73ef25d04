import { FrontPortsSchema } from '../api/tcp-schemas.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { FrontPorts } from '../model/tcp.ts'
import type { Found } from './app-writes.ts'
import type { Apps } from './apps.ts'
import type { Handlers } from './call.ts'
import { frontKey } from './front-key.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage } from './storage/storage.ts'

type Parts = { readonly apps: Apps; readonly storage: Storage; readonly clock: Clock }
type Shown = (found: Found, env: 'values' | 'digests') => { value: App; etag: string }

/** A front says again what it says within this time, so what is older is of a front that is gone. */
const REPORT_COUNTS_FOR_MS = 2 * 3_600_000

/** The calls about raw TCP ports. What a front said last is in `fronts/<front>.json`. */
export function tcpHandlers({ apps, storage, clock }: Parts, shown: Shown) {
  const keyOf = (front: string): string => frontKey('fronts/', front)

  const reports = async (): Promise<readonly FrontPorts[]> => {
    const found = await mapAtMost(16, await storage.list('fronts/'), key => storage.get(key))
    return found
      .flatMap(stored => FrontPortsSchema.safeParse(stored?.value).data ?? [])
      .filter(({ at }) => clock.wall() - Date.parse(at) < REPORT_COUNTS_FOR_MS)
  }

  return {
    setTcp: async ({ params, body, query: { env } }, { ifMatch }) =>
      shown(await apps.setTcp(params.app, body, ifMatch), env),
    getTcp: async ({ params }) => {
      const { tcp = [] } = (await apps.find(params.app)).app
      if (tcp.length === 0) return { value: { ports: [], fronts: [] } }
      const listens = new Set(tcp.map(({ listen }) => listen))
      const fronts = (await reports()).map(({ ports, ...front }) => ({
        ...front,
        ports: ports.filter(({ app, listen }) => app === params.app && listens.has(listen)),
      }))
      return { value: { ports: [...tcp], fronts } }
    },
    reportTcp: ({ params: { front }, body: { ports } }) =>
      retryOnConflict(async () => {
        const value = { front, at: timestamp(clock), ports }
        const stored = await storage.get(keyOf(front))
        await (stored === undefined
          ? storage.create(keyOf(front), value)
          : storage.update(keyOf(front), value, stored.etag))
      }),
  } satisfies Partial<Handlers>
}
