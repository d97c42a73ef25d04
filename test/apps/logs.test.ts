import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import type { LogLine } from '../../src/model/instance.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName, nodeName } from '../../src/model/names.ts'
import { duration, size } from '../../src/model/quantities.ts'
import { openLogs } from '../../src/nodeproxy/logs/open.ts'
import type { Container, Runtime } from '../../src/nodeproxy/runtime/runtime.ts'
import { docker } from '../tools/docker-host.ts'
import { busyboxImage } from '../tools/images.ts'
import { removeNetwork } from '../tools/network.ts'

const blog = instanceId(appName('blog'))
const signal = new AbortController().signal
const run = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' }).trim()

let folder: string
let undo: (() => unknown)[]

beforeEach(() => {
  folder = mkdtempSync('/tmp/shadow-logs-')
  undo = [() => rmSync(folder, { recursive: true })]
})

afterEach(async () => {
  for (const step of undo.reverse()) await step()
})

const open = (runtime: Pick<Runtime, 'output' | 'limitCpus'>, log = noLog) =>
  openLogs({ folder, runtime, clock: systemClock, log })

async function read(logs: ReturnType<typeof open>): Promise<LogLine[]> {
  const lines: LogLine[] = []
  for await (const line of logs.read(blog, { tail: 200_000, follow: false }, signal)) lines.push(line)
  return lines
}

async function started(runtime: Runtime, script: string): Promise<Container> {
  const task = {
    app: appName('blog'),
    revision: 1,
    image: await busyboxImage(),
    command: ['sh', '-c', script],
    env: {},
    port: 8000,
    limits: { memory: size('64MiB'), cpus: 1, pids: 64 },
    ready: { kind: 'port' as const },
    startWithin: duration('10s'),
    sleep: { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold' as const },
    createdAt: new Date(0).toISOString(),
  }
  const container = await runtime.create(blog, task, undefined, signal)
  await runtime.start(container, signal)
  return container
}

function realRuntime(): Runtime {
  const node = nodeName(`t-${randomBytes(4).toString('hex')}`)
  undo.push(() => {
    const left = run('docker', 'ps', '--all', '--quiet', '--filter', `label=shadow.node=${node}`)
      .split('\n')
      .filter(Boolean)
    if (left.length > 0) run('docker', 'rm', '--force', ...left)
    removeNetwork(`shadow-${node}`)
  })
  return docker({ node, network: `shadow-${node}` })
}

test('across restarts of the node an app’s log has each of its lines once, to the last one before its container goes', async () => {
  const runtime = realRuntime()
  const container = await started(
    runtime,
    'for i in $(seq 1 600); do echo $i; usleep 2000; done; echo bye >&2; exec sleep 1000',
  )
  for (let restart = 0; restart < 4; restart += 1) {
    const logs = open(runtime)
    logs.pump(container)
    await new Promise(resolve => setTimeout(resolve, 150))
    await logs[Symbol.asyncDispose]()
  }
  const logs = open(runtime)
  logs.pump(container)
  for await (const { line } of logs.read(blog, { tail: 601, follow: true }, signal)) if (line === 'bye') break
  await runtime.stop(container, 100)
  await runtime.remove(container)
  await logs[Symbol.asyncDispose]()
  const lines = await read(open(runtime))
  // Docker copies the two streams side by side. On a busy machine, it stores the first line of one before the last lines of the other.
  const of = (stream: LogLine['stream']) => lines.filter(one => one.stream === stream).map(({ line }) => line)
  expect(of('stdout')).toEqual(Array.from({ length: 600 }, (_, i) => `${i + 1}`))
  expect(of('stderr')).toEqual(['bye'])
  expect(lines).toHaveLength(601)
})

test('what an app says at its very end is kept, although its container is removed at once', async () => {
  const runtime = realRuntime()
  const script =
    'bye() { for i in $(seq 1 60000); do echo $i; done; exit 0; }; trap bye TERM; echo up; while :; do sleep 0.05; done'
  const logs = open(runtime)
  for (let round = 0; round < 3; round += 1) {
    const container = await started(runtime, script)
    logs.pump(container)
    for await (const { line } of logs.read(blog, { tail: 1, follow: true }, signal)) if (line === 'up') break
    await runtime.stop(container, 60_000)
    await runtime.remove(container)
    const lines = (await read(logs)).map(({ line }) => line)
    expect(lines.slice(-60001)).toEqual(['up', ...Array.from({ length: 60000 }, (_, i) => `${i + 1}`)])
    await logs.remove(blog)
  }
  await logs[Symbol.asyncDispose]()
})

test('a full disk costs lines, is told once, and the log goes on when there is room', async () => {
  run('mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder)
  undo.push(() => run('umount', folder))
  const told: string[] = []
  const log = {
    ...noLog,
    warn: (event: string) => void told.push(event),
    info: (event: string) => void told.push(event),
  }
  const logs = open({ limitCpus: async () => undefined, output: () => never() }, log)
  logs.note(blog, 'before')
  await read(logs)
  writeFileSync(join(folder, 'filler'), Buffer.alloc(200 * 1024))
  for (let i = 0; i < 5_000; i += 1) logs.note(blog, `line ${i} ${'x'.repeat(100)}`)
  expect((await read(logs)).map(({ line }) => line)[0]).toBe('before')
  for (let i = 0; i < 10; i += 1) logs.note(blog, `more ${'x'.repeat(10_000)}`)
  await read(logs)
  expect(told).toEqual(['app log stopped: disk full'])
  rmSync(join(folder, 'filler'))
  logs.note(blog, 'after')
  await read(logs)
  const lines = (await read(logs)).map(({ line }) => line)
  expect(lines).toContain('after')
  expect(lines.at(-1)).toMatch(/^\d+ lines of this log were lost/)
  expect(told).toEqual(['app log stopped: disk full', 'app log goes on'])
  await logs[Symbol.asyncDispose]()
})

async function* never(): AsyncGenerator<LogLine> {}
