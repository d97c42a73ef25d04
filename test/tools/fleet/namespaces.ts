import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** A first process in namespaces of its own. All processes in them end with it; it ends with the test at the latest. */
export type First = { readonly child: ChildProcess; readonly pid: number }

/** Its children, and those that they leave behind, are waited for, as init does. */
const INIT = 'echo up; while :; do sleep 3600 & wait; done'

/** Starts the script and then an init, in new namespaces for network, processes and mounts. Resolves when the script has ended. */
export async function namespaces(script: string, ...args: string[]): Promise<First> {
  const apart = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'slave']
  const bash = ['bash', '-euc', `${script}\n${INIT}`, 'init', ...args]
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...apart, ...bash], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', chunk => {
    said += chunk
  })
  const ended = once(child, 'close').then(([exit]) => Promise.reject(new Error(`ended with ${exit}: ${said}`)))
  ended.catch(() => undefined) // after the start, only the test ends it
  await Promise.race([once(child.stdout, 'data'), ended])
  return { child, pid: await childOf(child.pid ?? 0) }
}

/** Ends all processes in the namespaces at once, as a power cut does. */
export async function endAll({ child, pid }: First): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  process.kill(pid, 'SIGKILL')
  await ended
}

/** The words of a command that run it in these namespaces. */
export const inside = (pid: number, ...kinds: ('net' | 'pid' | 'mount')[]): [string, ...string[]] => [
  'nsenter',
  '--target',
  String(pid),
  ...kinds.map(kind => `--${kind}`),
  '--',
]

/** Runs a command in the network of this process and returns its stdout. */
export async function onNetworkOf(pid: number, ...command: string[]): Promise<string> {
  const [file, ...args] = inside(pid, 'net')
  return (await promisify(execFile)(file, [...args, ...command])).stdout
}

async function childOf(pid: number): Promise<number> {
  const [child = ''] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
  return Number(child)
}
