import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const LISTENS_WITHIN_MS = 60_000

/** A process of a bench: it ends with the bench. */
export type Pinned = AsyncDisposable & { readonly pid: number; readonly child: ChildProcess }

export type Command = {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Record<string, string>
}

/**
 * Starts a process that stays on one core, and waits until each of the ports is open. It is scheduled as a batch (sched(7)): of two that
 * share the core (two hops, Caddy's threads), one would stop the other at each message to it, as it would not on a core of its own.
 */
export async function startPinned(
  core: number,
  { command, args, env }: Command,
  ports: readonly number[],
): Promise<Pinned> {
  const child = spawn('chrt', ['-b', '0', 'taskset', '-c', String(core), ...manyFiles(), command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let said = ''
  const heard = (chunk: Buffer): void => {
    said = `${said}${chunk}`.slice(-4_000)
  }
  child.stdout.on('data', heard)
  child.stderr.on('data', heard)
  child.stdin.on('error', () => {}) // it ended: whoever waits for it is told below
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${command} ended with ${code}: ${said}`)
  })
  ended.catch(() => {}) // the end that we ask for ourselves
  const orphan = (): void => void child.kill('SIGKILL')
  process.once('exit', orphan)
  await Promise.race([Promise.all(ports.map(listening)), ended]).catch(error => {
    child.kill('SIGKILL')
    throw new Error(`${command} ${args.join(' ')} did not start: ${said}`, { cause: error })
  })
  return {
    pid: child.pid ?? 0,
    child,
    async [Symbol.asyncDispose]() {
      process.off('exit', orphan)
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      const cut = setTimeout(() => child.kill('SIGKILL'), 2_000)
      await gone
      clearTimeout(cut)
    },
  }
}

/** Ports of the loopback that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Resolves when somebody listens on the port. */
async function listening(port: number): Promise<void> {
  const until = performance.now() + LISTENS_WITHIN_MS
  while (!(await connects(port))) {
    if (performance.now() > until) throw new Error(`nobody listens on ${port} after ${LISTENS_WITHIN_MS} ms`)
    await sleep(20)
  }
}

function connects(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

/** How many files a process that `startPinned` starts may have open. */
export function openFilesLimit(): number {
  return Number(
    execFileSync('sh', ['-c', 'exec "$@"', 'sh', ...manyFiles(), 'sh', '-c', 'ulimit -Hn'], { encoding: 'utf8' }),
  )
}

/** Lets a process have more open files than is usual, where the system lets us. */
function manyFiles(): readonly string[] {
  const raised = ['prlimit', '--nofile=200000:200000']
  return spawnSync('prlimit', [...raised.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? raised : []
}
