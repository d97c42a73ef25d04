import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { LogLine } from '../../src/model/instance.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName, nodeName } from '../../src/model/names.ts'
import { duration, size } from '../../src/model/quantities.ts'
import type { TaskDefinition } from '../../src/model/task.ts'
import type { DockerOptions } from '../../src/nodeproxy/runtime/docker.ts'
import type { Container } from '../../src/nodeproxy/runtime/runtime.ts'
import { docker } from './docker-host.ts'
import { busyboxImage } from './images.ts'
import { removeNetworks } from './network.ts'

/** Runs a docker command and returns its output. */
export const run = (...args: string[]) =>
  execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

/**
 * Put before a script that waits for `letGo`: an app that ends before its start was answered counts as crashed. If a plain file was made
 * first, the script reads that.
 */
export const WAITS = 'mkfifo /tmp/go 2> /dev/null; cat /tmp/go > /dev/null; '

/** Lets the script of an app with `WAITS` go on. */
export const letGo = ({ id }: Container) => run('exec', id, 'sh', '-c', 'echo > /tmp/go')

/**
 * A runtime for one test file, with a node name and a network of its own, and helpers for its tests. It cleans up after each test. `keepsHolders`: prepared
 * networks are removed after the last test: one that goes behind the back of the runtime may fail the start of the next container.
 */
export function containersOfTest(
  options: Pick<DockerOptions, 'named' | 'records' | 'preparedNetworks' | 'mostPorts'> = {},
  { keepsHolders = false } = {},
) {
  const node = nodeName(`t-${randomBytes(4).toString('hex')}`)
  const network = `shadow-${node}`
  const runtime = docker({ node, network, ...options })
  const signal = new AbortController().signal
  let busybox = ''

  beforeAll(async () => {
    busybox = await busyboxImage()
  })

  const removeAll = (which: (label: string) => boolean): void => {
    const format = '{{.ID}} {{.Label "shadow.holder"}}'
    const all = run('ps', '--all', '--filter', `label=shadow.node=${node}`, '--format', format)
      .split('\n')
      .filter(Boolean)
    const left = all.map(line => line.split(' ')).flatMap(([id = '', holder = '']) => (which(holder) ? [id] : []))
    if (left.length > 0) run('rm', '--force', ...left)
  }

  afterEach(() => removeAll(holder => holder === '' || !keepsHolders))

  afterAll(async () => {
    await runtime.close()
    removeAll(() => true)
    try {
      removeNetworks(node)
    } catch {
      // in use: remaining networks are reported after all journeys
    }
  })

  function task(over: Partial<TaskDefinition> & { script?: string } = {}): TaskDefinition {
    const { script, ...rest } = over
    return {
      app: appName('blog'),
      revision: 1,
      image: busybox,
      command: ['sh', '-c', script ?? 'trap "exit 0" TERM; while :; do sleep 0.05; done'],
      env: {},
      port: 8000,
      limits: { memory: size('64MiB'), cpus: 1, pids: 64 },
      ready: { kind: 'port' },
      startWithin: duration('10s'),
      sleep: { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold' },
      createdAt: new Date(0).toISOString(),
      ...rest,
    }
  }

  async function started(given: TaskDefinition, mountedAt?: string): Promise<Container & { ip: string }> {
    const container = await runtime.create(instanceId(given.app), given, mountedAt, signal)
    return { ...container, ip: await runtime.start(container, signal) }
  }

  async function linesOf(container: Container, since?: string): Promise<LogLine[]> {
    const lines: LogLine[] = []
    for await (const line of runtime.output(container, since, signal)) lines.push(line)
    return lines
  }

  async function untilLine(container: Container, wanted: string): Promise<void> {
    for await (const { line } of runtime.output(container, undefined, signal)) if (line === wanted) return
    throw new Error(`it ended without having written "${wanted}"`)
  }

  return { node, network, runtime, signal, task, started, linesOf, untilLine }
}

export const texts = (lines: LogLine[], stream = 'stdout') =>
  lines.filter(line => line.stream === stream).map(({ line }) => line)

/** Whether the port accepts connections within some seconds. */
export async function portOpen(ip: string, port: number): Promise<boolean> {
  for (let tried = 0; tried < 400; tried += 1) {
    const open = await new Promise<boolean>(resolve => {
      const socket = connect(port, ip, () => resolve(true)).on('error', () => resolve(false))
      socket.on('close', () => undefined)
      setTimeout(() => socket.destroy(), 500).unref()
    })
    if (open) return true
    await sleep(10)
  }
  return false
}
