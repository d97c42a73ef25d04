import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const LISTENS_WITHIN_MS = 60_000

/** A process of a bench. It ends with the bench. */
export type Pinned = AsyncDisposable & { readonly pid: number; readonly child: ChildProcess }

export type Command = {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Record<string, string>
}

/**
 * Starts a process on one core and waits until each of the ports is open. The process is scheduled as a batch (sched(7)): otherwise two
 * processes
 * on one core (two hops, Caddy's threads) would interrupt each other at each message, which they would not do on cores of their own.
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
  child.stdin.on('error', () => {}) // it ended; the race below reports it
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${command} ended with ${code}: ${said}`)
  })
  ended.catch(() => {}) // the bench ended it
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

/** Free loopback ports. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Resolves when a process listens on the port. */
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

/** How many files a process of `startPinned` may have open. */
export function openFilesLimit(): number {
  return Number(
    execFileSync('sh', ['-c', 'exec "$@"', 'sh', ...manyFiles(), 'sh', '-c', 'ulimit -Hn'], { encoding: 'utf8' }),
  )
}

/** The command that gives a process more open files than usual, if the system allows it. */
function manyFiles(): readonly string[] {
  const raised = ['prlimit', '--nofile=200000:200000']
  return spawnSync('prlimit', [...raised.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? raised : []
}
