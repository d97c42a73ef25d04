// Many apps that are asked for at once: when each of them answers, beside the time that their boots alone would take.
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { busyboxImage } from '../test/tools/images.ts'
import { benchFlags, countAim, machine, print, quantile, rowOfOne } from './lib/bench.ts'
import { bareDocker } from './lib/docker.ts'
import { startUp } from './lib/up.ts'
import { firstByte } from './lib/visit.ts'

const { json, rounds, apps: count } = benchFlags({ rounds: 1 }, { apps: 200 })
/** All are asked for within this time, in an even row. */
const WITHIN_MS = 1_000
/** The boots of the floor, one after the other, before each storm; and so many by Docker alone, as many at a time as the node starts. */
const BOOTS = 20
const BOOTS_TOGETHER = 40
const AT_ONCE = Number(process.env['SHADOW_STARTS_AT_ONCE'] ?? 2 * availableParallelism())

await using held = new AsyncDisposableStack()
const name = `bench-${randomBytes(3).toString('hex')}`
const docker = held.use(await bareDocker(`floor-${name}`))
const { front, api } = held.use(await startUp(name))
const image = await busyboxImage()
const command = ['httpd', '-f', '-p', '8000', '-h', '/etc']
const apps = Array.from({ length: count }, (_, number) => `storm-${number}`)
for (const app of apps)
  await api.call('registerApp', {
    body: {
      name: app,
      image,
      command,
      volume: { size: '16MiB' },
      limits: { memory: '16MiB' },
      sleep: { idleAfter: 'never', grace: '1s' },
    },
  })

const boots: number[] = []
const together: number[] = []
/** The stages of each wake, by name, in ms. */
const stages = new Map<string, number[]>()
const lasts: number[] = []
const each: number[] = []
const ratios: number[] = []
let failed = 0
for (let round = 0; round < rounds; round += 1) {
  const alone: number[] = []
  for (let boot = 0; boot < BOOTS; boot += 1) {
    const { ms, remove } = await docker.start(image, command)
    alone.push(ms)
    await remove()
  }
  boots.push(...alone)
  together.push(await bootsTogether())
  const from = performance.now()
  await Promise.all(
    apps.map(async (app, number) => {
      await new Promise(resolve => setTimeout(resolve, (number * WITHIN_MS) / count))
      await firstByte(front, `${app}.localhost`, '/passwd').then(
        ({ ms }) => each.push(ms),
        (error: Error) => {
          failed += 1
          process.stderr.write(`${error.message}\n`)
        },
      )
    }),
  )
  const last = performance.now() - from
  lasts.push(last)
  ratios.push(last / ((quantile(alone, 0.5) * count) / availableParallelism()))
  for (const app of apps) await noteStages(app)
  // One after the other: Docker before 23 may lock up when the last containers of a network end at once.
  for (const app of apps) await api.call('sleepApp', { params: { app } })
}

print(
  {
    bench: 'storm',
    machine: machine(),
    rounds,
    rows: [
      rowOfOne(`${count} apps asked for within a second: until the last answer`, 'ms', quantile(lasts, 0.5)),
      rowOfOne('each: p50', 'ms', quantile(each, 0.5)),
      rowOfOne('each: p95', 'ms', quantile(each, 0.95)),
      rowOfOne('each: the first', 'ms', Math.min(...each)),
      rowOfOne('floor: docker create+start, one at a time, p50', 'ms', quantile(boots, 0.5)),
      rowOfOne(`Docker alone, ${AT_ONCE} at a time: by their number`, 'ms', quantile(together, 0.5)),
      rowOfOne('all served/Docker alone', '×', quantile(lasts, 0.5) / count / quantile(together, 0.5)),
      ...[...stages].map(([stage, ms]) => rowOfOne(`stage of a wake: ${stage}, p50`, 'ms', quantile(ms, 0.5))),
      rowOfOne('requests that failed', 'of all', failed),
    ],
    aims: [
      countAim('all served/sum of the boots by the processors', 1.1, quantile(ratios, 0.5)),
      countAim('requests that failed', 0, failed),
    ],
    notes: [
      'busybox httpd with a volume of 16 MiB each; SHADOW_STARTS_AT_ONCE says how many containers are started at a time',
      `Docker alone: ${BOOTS_TOGETHER} such boots, ${AT_ONCE} at a time, by their number: what Docker itself takes of the time by its own locks, and by processors`,
      `floor: ${BOOTS} boots by bare calls to Docker’s API, without a volume, one after the other; their median times the apps, by the processors`,
    ],
  },
  json,
)

/** The time of many boots by Docker alone, by their number. */
async function bootsTogether(): Promise<number> {
  const removes: (() => Promise<void>)[] = []
  let left = BOOTS_TOGETHER
  const from = performance.now()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (; left > 0; ) {
        left -= 1
        removes.push((await docker.start(image, command)).remove)
      }
    }),
  )
  const each = (performance.now() - from) / BOOTS_TOGETHER
  for (const remove of removes) await remove()
  return each
}

async function noteStages(app: string): Promise<void> {
  const { lastWake } = await api.call('getInstance', { params: { app } })
  for (const [stage, ms] of Object.entries(lastWake?.steps ?? {})) stages.set(stage, [...(stages.get(stage) ?? []), ms])
}
