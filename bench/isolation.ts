// Measures innocent apps and the master, first alone, then beside misbehaving apps and clients. Does each request get its own answer in
// time?
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { masterClient } from '../src/api/client.ts'
import { installed } from '../test/tools/installed.ts'
import type { Outcome } from './isolation/probe.ts'
import { definitionOf, HOSTILE, INNOCENT } from './isolation/tenants.ts'
import { countAim, machine, print, quantile, type Row, rowOf, rowOfOne } from './lib/bench.ts'
import { certificateIn } from './lib/certificate.ts'
import { startDaemon } from './lib/daemon.ts'
import { freePorts } from './lib/pinned.ts'
import { ProcessorTime } from './lib/processor-time.ts'

const ALONE_PART = 0.2
const ADDED_AT_MOST_MS = 100
const CALL_WITHIN_MS = 60_000

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '300' },
    /** Only the attacks whose names begin with one of these words, to find out what each of them costs. */
    only: { type: 'string', multiple: true, default: [] },
  },
})
const seconds = Number(flags.seconds)

await using held = new AsyncDisposableStack()
const name = `bench-${randomBytes(3).toString('hex')}`
const data = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
held.defer(() => rm(data, { recursive: true }))
held.defer(async () => {
  await promisify(execFile)('docker', ['network', 'rm', `shadow-${name}`]).catch(() => undefined) // it may never have been made
})
const certificates = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
held.defer(() => rm(certificates, { recursive: true }))
const { cert, key } = certificateIn(certificates)
await rename(cert, join(certificates, 'default.crt'))
await rename(key, join(certificates, 'default.key'))
const makeImage = fileURLToPath(import.meta.resolve('../contrib/dev/make-image'))
const folder = fileURLToPath(import.meta.resolve('./isolation/app'))
const made = await promisify(execFile)(makeImage, ['shadow-bench/isolation', folder, 'node', 'node', '/srv/app.mjs'])
const image = made.stdout.trim()

const { shadow } = held.use(await installed())
const [tls = 0] = await freePorts(1)
const anywhere = '127.0.0.1:0'
// The weights of contrib/systemd.
const ofDaemons = held.use(new ProcessorTime(`${name}-daemons`, 1_000))
const up = held.use(
  await startDaemon(shadow, ['up', '--json', '--data', data, '--listen', anywhere], {
    env: {
      SHADOW_MASTER_LISTEN: anywhere,
      SHADOW_NODE_LISTEN: anywhere,
      SHADOW_NODE_NAME: name,
      SHADOW_TLS_LISTEN: `127.0.0.1:${tls}`,
      SHADOW_TLS_CERTIFICATES: certificates,
    },
    signal: 'SIGINT',
  }),
)
ofDaemons.add(up.pid)
held.use(new ProcessorTime(`${name}-docker`, 100)).addDocker()
// In production, visitors and attackers have machines of their own: here attackers get only the processor time that the others leave.
const of = {
  probe: held.use(new ProcessorTime(`${name}-visitors`, 1_000)),
  attack: held.use(new ProcessorTime(`${name}-attackers`, 10)),
}
const { front = '', master = '' } = up.ready
const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
const api = masterClient({ url: master, token, withinMs: CALL_WITHIN_MS })
for (const each of [...INNOCENT, ...HOSTILE]) await api.call('registerApp', { body: definitionOf(each, image) })
for (const each of INNOCENT) await api.call('wakeApp', { params: { app: each } })

const ports = { front: Number(new URL(front).port), master: Number(new URL(master).port), tls }
await probed(2) // the first requests, which load and compile code, are not measured
const alone = await probed(Math.max(5, seconds * ALONE_PART))
const attacking = program('attack', { ...ports, seconds: seconds + 2, only: flags.only })
await sleep(1_000)
const beside = await probed(seconds)
of.attack.release(attacking.pid) // it must be able to end although apps still use all processors
const attacksMade: Record<string, number> = JSON.parse(await attacking.printed)
const wakes = (beside['sleepy']?.ms.length ?? 0) + (beside['sleepy']?.lost.length ?? 0)
const stillThere = await probed(2)

const all = Object.values(beside)
const after = Object.values(stillThere).flatMap(({ lost, wrong }) => [...lost, ...wrong])
const added = (who: string): number => quantile(beside[who]?.ms ?? [], 0.99) - quantile(alone[who]?.ms ?? [], 0.99)
print(
  {
    bench: 'isolation',
    machine: machine(),
    rounds: 1,
    rows: [
      ...Object.keys(beside).flatMap(who => [
        latencies(`${who}, alone`, alone[who]),
        latencies(`${who}, beside them`, beside[who]),
      ]),
      ...Object.keys(beside).flatMap(who => [
        rowOfOne(`${who}, alone: p99`, 'ms', quantile(alone[who]?.ms ?? [], 0.99)),
        rowOfOne(`${who}, beside them: p99`, 'ms', quantile(beside[who]?.ms ?? [], 0.99)),
      ]),
      ...Object.entries(attacksMade).map(([attack, n]) => rowOfOne(attack, 'count', n)),
    ],
    aims: [
      countAim(
        'isolation/wrong',
        0,
        all.reduce((sum, { wrong }) => sum + wrong.length, 0),
      ),
      countAim(
        'isolation/lost',
        0,
        all.reduce((sum, { lost }) => sum + lost.length, 0),
      ),
      countAim('isolation/lost-after', 0, after.length),
      countAim('isolation/steady-added-ms', ADDED_AT_MOST_MS, added('steady')),
      countAim('isolation/master-added-ms', ADDED_AT_MOST_MS, added('master')),
    ],
    notes: [
      `${seconds} s of ${HOSTILE.length} hostile apps and ${Object.keys(attacksMade).length} attacks; visitors of the innocent alone for a fifth of that before`,
      ofDaemons.isThere
        ? 'processor time: daemons and visitors by CPUWeight=1000 as contrib/systemd has it, Docker by 100 as its own unit, attackers by 10'
        : 'processor time: all alike, as this machine has no cgroups for it',
      `wrong: an answer from another; lost: no answer, or an error; added: p99 beside them less p99 alone; sleepy was woken for most of its ${wakes} visits`,
      `repeated, as the master had closed the idle connection: ${all.reduce((sum, { repeated }) => sum + repeated, 0)}`,
      ...Object.entries(beside).flatMap(([who, { lost, wrong }]) =>
        [...wrong, ...lost].slice(0, 10).map(what => `${who}: ${what}`),
      ),
      ...after.slice(0, 5).map(what => `afterwards: ${what}`),
    ],
  },
  flags.json,
)

/** The results of the innocent apps' visitors over this many seconds. */
async function probed(many: number): Promise<Record<string, Outcome>> {
  return JSON.parse(await program('probe', { front: ports.front, master: ports.master, token, seconds: many }).printed)
}

type Program = { readonly pid: number; readonly printed: Promise<string> }

/** Runs a program of this bench, which prints one JSON object at its end. */
function program(file: 'attack' | 'probe', given: object): Program {
  const path = fileURLToPath(import.meta.resolve(`./isolation/${file}.ts`))
  const child = spawn(process.execPath, [path, JSON.stringify(given)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = child.pid ?? 0
  of[file].add(pid)
  return { pid, printed: text(child.stdout) }
}

function latencies(who: string, outcome: Outcome | undefined): Row {
  return rowOf({ name: who, unit: 'ms' }, new Map([[who, [outcome?.ms ?? []]]]))
}
