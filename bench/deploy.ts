import { setTimeout as wait } from 'node:timers/promises'
import { waitForRevision } from '../src/cli/wait-for-revision.ts'
import { nodeImage } from '../test/tools/images.ts'
import { backedUpVolume, CHANGED, MIB } from './lib/backed-up-volume.ts'
import {
  type Aim,
  benchFlags,
  type Case,
  countAim,
  interleave,
  machine,
  pairedAim,
  print,
  quantile,
  rowOf,
} from './lib/bench.ts'
import { underLoad } from './lib/steady-load.ts'
import { startUp } from './lib/up.ts'
import { firstByte } from './lib/visit.ts'

// With the round that does not count, 10 deploys of each of the two apps: 20 in all.
const { json, rounds } = benchFlags({ rounds: 9 })
const CLIENTS = 4
const SETTLE_MS = 200
const STORED_ROUNDS = 5

await using up = await startUp()
await using volume = await backedUpVolume()
const { front, api } = up

let release = 0
let requests = 0
let failed = 0
let firstFailure: string | undefined

const image = await nodeImage()
const sleep = { idleAfter: 'never', grace: '5s' } as const
await api.call('registerApp', { body: { name: 'web', image, sleep } })
await api.call('registerApp', { body: { name: 'data', image, sleep, volume: { size: '64MiB' } } })

const web = deployCase('deploy without a volume: longest request', 'web')
const pause = deployCase('deploy with a volume: longest request', 'data')
const boot = bootCase('boot of the app with a volume: first request while it sleeps', 'data')
const samples = await interleave([web, boot, pause], { rounds })
const stored = secondBackupCase('second backup with 1 % changed: stored/changed')
const storedSamples = await interleave([stored], { rounds: STORED_ROUNDS })

const aims: Aim[] = [
  countAim('failed', 0, failed),
  // The medians of a round are of neighbouring moments, so a slow phase of the machine slows both.
  pairedAim('pause/boot', 1.5, samples, pause.name, boot.name),
  countAim('second/changed bytes', 1.5, quantile((storedSamples.get(stored.name) ?? []).flat(), 0.5)),
]
print(
  {
    bench: 'deploy',
    machine: machine(),
    rounds,
    rows: [...[web, pause, boot].map(one => rowOf(one, samples)), rowOf(stored, storedSamples)],
    aims,
    notes: [
      `failed: of ${requests} requests by ${CLIENTS} clients during ${release} deploys, half of them of each app${firstFailure === undefined ? '' : `; the first: ${firstFailure}`}`,
      'pause/boot: the longest that a request took while the app with a volume was switched to a newer release, by the time of its first request while it sleeps; each from the connect to the front to the last byte, respectively to the first one',
      `second/changed: what restic's repository has grown by, by the ${CHANGED / MIB} MiB that were overwritten in regions of 5 MiB of a volume of 1 GiB, which had been backed up before; npm run bench:backup has more`,
      'both apps are an HTTP server on Node; shadow up is a process of its own',
    ],
  },
  json,
)

/** Deploys a newer release under load, and waits until it serves; the figure is the longest time that a request took. */
function deployCase(name: string, app: string): Case {
  return {
    name,
    unit: 'ms',
    async measure() {
      await firstByte(front, `${app}.localhost`, '/')
      const seen = await underLoad({ front, host: `${app}.localhost`, path: '/', clients: CLIENTS }, async () => {
        await wait(SETTLE_MS)
        release += 1
        const body = { env: { RELEASE: String(release) } }
        const deployed = await api.call('updateApp', { params: { app }, body })
        await waitForRevision(api, deployed)
        await wait(SETTLE_MS)
      })
      requests += seen.requests
      failed += seen.failed
      firstFailure ??= seen.firstFailure
      return seen.longestMs
    },
  }
}

/** Backs a volume up after one percent of it has changed. What comes first of all, the first backup, is not measured. */
function secondBackupCase(name: string): Case {
  let isFirst = true
  return {
    name,
    unit: 'x',
    async measure() {
      if (isFirst) await volume.backUp()
      isFirst = false
      await volume.change(5 * MIB)
      return (await volume.backUp()).addedBytes / CHANGED
    },
  }
}

/** Puts the app to sleep, and wakes it by a request. */
function bootCase(name: string, app: string): Case {
  return {
    name,
    unit: 'ms',
    async measure() {
      await api.call('sleepApp', { params: { app } })
      return (await firstByte(front, `${app}.localhost`, '/')).ms
    },
  }
}
