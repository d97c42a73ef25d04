import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { Fleet } from '../../test/tools/fleet/fleet.ts'
import { register } from '../../test/tools/shadow.ts'
import { randomOf } from '../lib/random.ts'
import { Away } from './away.ts'
import { clockSettings, setClock } from './clocks.ts'
import { disturb } from './disturb.ts'
import { judge, type Verdict } from './judge.ts'
import { FRONTS, LEASE_MS, MASTERS, NODES } from './letters.ts'
import { Load, type Request } from './load.ts'

const STATEFUL = ['book-0', 'book-1', 'book-2', 'book-3']
const STATELESS = ['page-0', 'page-1', 'page-2']
const APPS = [...STATEFUL, ...STATELESS]
const COMMAND = ['node', '/srv/chaos.mjs']
const PER_SECOND = 15
const QUIET_WITHIN_MS = 120_000

type Options = {
  /** The installed program. */
  readonly shadow: string
  readonly lastsMs: number
  readonly seed: number
  /** Makes the faults only whose kind and name match; left out: all. */
  readonly only?: RegExp | undefined
  readonly say: (line: string) => void
  /** A folder that gets the logs of all daemons, the journals and the requests. */
  readonly keep?: string | undefined
}

export type Chaos = {
  readonly requests: readonly Request[]
  readonly verdicts: readonly Verdict[]
  /** How often each fault was made. */
  readonly faults: ReadonlyMap<string, number>
  /** Lines for people about daemons that ended by themselves. */
  readonly ended: readonly string[]
}

/** Starts a fleet, loads it, disturbs it for so long, heals it, and judges what it did. */
export async function runChaos({ shadow, lastsMs, seed, only, say, keep }: Options): Promise<Chaos> {
  const random = randomOf(seed)
  await using fleet = await Fleet.start({
    shadow,
    nodes: NODES,
    fronts: FRONTS,
    masters: MASTERS,
    nodeSettings: { SHADOW_POOL_LEASE: `${LEASE_MS}ms` },
    settings: (_letter, folder) => clockSettings(folder),
  })
  for (const letter of [...NODES, ...FRONTS, ...MASTERS]) await setClock(`${fleet.folder}/${letter}`, 0)
  for (const app of APPS) await registerApp(fleet, app)
  const from = performance.now()
  const now = (): number => performance.now() - from
  const timed = (line: string): void => say(`${(now() / 1_000).toFixed(1)} ${line}`)
  const away = new Away(now)
  const load = new Load({
    apps: APPS,
    fronts: new Map(FRONTS.map(front => [front, fleet.at(front)])),
    perSecond: PER_SECOND,
    random: randomOf(seed + 1),
    wasAway: (...asked) => away.was(...asked),
  })
  const ended: string[] = []
  for (const letter of [...NODES, ...FRONTS, ...MASTERS])
    fleet.daemon(letter).onEnd = exit => {
      ended.push(`${letter} ended by itself with ${exit}`)
      timed(`${letter} ended by itself with ${exit}`)
    }
  const signal = AbortSignal.timeout(lastsMs)
  const faults = await disturb({ fleet, apps: APPS, only, away, random, say: timed, signal })
  const requests = await load.stop()
  timed('all is healed, and all requests are over')
  const verdicts: Verdict[] = []
  try {
    for (const app of STATEFUL) {
      const text = await journalOf(fleet, app, timed)
      if (keep !== undefined) await writeTo(keep, `${app}.journal`, text)
      const acknowledged = requests.filter(one => one.app === app && one.outcome === 'answered').map(({ id }) => id)
      verdicts.push(judge(app, text, acknowledged))
    }
  } finally {
    if (keep !== undefined) await keepLogs(fleet, keep, requests)
  }
  return { requests, verdicts, faults, ended }
}

async function registerApp(fleet: Fleet, app: string): Promise<void> {
  const env = { APP: app }
  // Every other app sleeps after some seconds without a request.
  const sleep = { idleAfter: Number(app.at(-1)) % 2 === 0 ? '3s' : '5m' }
  if (STATELESS.includes(app)) await register(fleet.admin(), app, { command: COMMAND, env, sleep })
  else {
    const volume = { size: '64MiB', driver: 'pool' } as const
    await register(fleet.admin(), app, { command: COMMAND, env: { ...env, DATA: '/data' }, sleep, volume })
  }
}

/** The journal of the app; empty if it cannot be had any more, which makes all of it lost. */
async function journalOf(fleet: Fleet, app: string, say: (line: string) => void): Promise<string> {
  let problem = ''
  for (const end = performance.now() + QUIET_WITHIN_MS; performance.now() < end; await wait(500)) {
    const answer = await fleet.at('x').ask(app, '/journal').catch(String)
    if (typeof answer !== 'string' && answer.status === 200) return answer.text
    problem = typeof answer === 'string' ? answer : answer.text
  }
  say(`the journal of ${app} cannot be read: ${problem}`)
  return ''
}

async function keepLogs(fleet: Fleet, keep: string, requests: readonly Request[]): Promise<void> {
  await mkdir(keep, { recursive: true })
  for (const letter of [...NODES, ...FRONTS, ...MASTERS]) await copyFile(fleet.log(letter), `${keep}/${letter}.log`)
  await writeTo(keep, 'requests.json', requests.map(request => JSON.stringify(request)).join('\n'))
}

async function writeTo(folder: string, name: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(`${folder}/${name}`, text)
}
