import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from '../test/tools/installed.ts'
import { minio } from '../test/tools/s3-servers.ts'
import { type Aim, benchFlags, countAim, machine, print, type Row, rowOfOne } from './lib/bench.ts'
import { residentMiB } from './lib/process.ts'
import { front } from './master/front.ts'
import { AT_ONCE, createsAndStarts, LOOK_UPS, lookUps, requestsAtRest, storeRequests } from './master/lookups.ts'
import { startBare, startMasterOf } from './master/served.ts'
import { stores } from './master/stores.ts'

const { json, rounds } = benchFlags({ rounds: 7 })
const FEW = 10
const MANY = 10_000
const SLOW_ROUNDS = 5

const rows: Row[] = []
const aims: Aim[] = []
await using held = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
held.defer(() => rm(folder, { recursive: true }))
const { shadow } = held.use(await installed())
const server = await minio()
if (server !== undefined) held.use(server)

for (const store of stores(folder, server)) {
  await using running = new AsyncDisposableStack()
  const from = performance.now()
  const [few, many] = await Promise.all(
    [FEW, MANY].map(async size => {
      const place = store.place(`apps-${size}`)
      const data = join(folder, `${store.kind}-${size}`)
      return running.use(await startMasterOf({ shadow, folder: data, place, size }))
    }),
  )
  if (few === undefined || many === undefined) throw new Error('two masters were started')
  rows.push(rowOfOne(`filling, ${MANY} apps, ${store.kind}`, 's', (performance.now() - from) / 1_000))
  const bare = running.use(await startBare(many))
  for (const figures of [await lookUps(store, few, many, bare, rounds), await storeRequests(store, few, many)]) {
    rows.push(...figures.rows)
    aims.push(...figures.aims)
  }
  for (const one of [few, many]) rows.push(...(await requestsAtRest(store, one)))
  for (const { size, pid } of [few, many])
    rows.push(rowOfOne(`memory of the master, ${size} apps, ${store.kind}`, 'MiB', await residentMiB(pid)))
  rows.push(...(await createsAndStarts(store, [few, many], Math.min(rounds, SLOW_ROUNDS))))
  if (store.kind !== 'directory') continue
  for (const master of [few, many])
    rows.push(
      ...(await front(master, {
        shadow,
        folder: join(folder, `front-${master.size}`),
        rounds: Math.min(rounds, SLOW_ROUNDS),
      })),
    )
}

print(
  {
    bench: 'master',
    machine: machine(),
    rounds,
    rows,
    aims: [countAim('lookup 10000/10 apps', 1.2, Math.max(...aims.map(({ value }) => value))), ...aims],
    notes: [
      `look-up: GET /v1/hosts/HOSTNAME with a token; ${LOOK_UPS} a round, ${AT_ONCE} at a time, of hostnames taken at random; CPU is that of the process of the master alone`,
      'first: of a hostname that the master was not asked for before; again: of one that it was. Its app is read anew each time, for another master may have changed it',
      'bare: node:http, one read of the document, its text as the answer; no token, no check of the document',
      `of the ${MANY} apps one is registered by the API; the others are copies of its documents, written by the storage driver (filling). creates are by the API`,
      'store requests: calls of the storage driver; on MinIO the HTTP requests that arrive there',
      'the front has a node that answers everything at once; in 15 s it asks the master once for each route in use, behind a request and not before it: known apps are such as were asked for since',
      'lookup 10000/10 apps is the worst of the ratios below it',
      ...(server === undefined ? ['MinIO is not here (make setup builds it): its half was left out'] : []),
    ],
  },
  json,
)
