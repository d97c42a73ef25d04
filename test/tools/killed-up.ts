import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import type { Input } from './node-that-dies.ts'
import { Visitor } from './visitor.ts'

const PROGRAM = join(import.meta.dirname, 'up-that-dies.ts')

/** Master, node and front in one process of its own, which a test may kill. Disposing of it ends it in order; its apps go on. */
export type KilledUp = AsyncDisposable & {
  readonly child: ChildProcess
  readonly visitor: Visitor
  readonly admin: MasterClient
  /** Where the master listens, and a token for it. */
  readonly master: string
  readonly token: string
  /** Kills it at once, and resolves when it has ended. */
  kill(): Promise<void>
}

/** Starts it as the node of the name, on the data of its earlier runs. `dies`: the step at which it kills itself; `more`: further settings. */
export async function startKilledUp(
  data: string,
  node: string,
  dies?: Input['dies'],
  more: Readonly<Record<string, string>> = {},
): Promise<KilledUp> {
  const settings = {
    data,
    SHADOW_NODE_NAME: node,
    SHADOW_MASTER_LISTEN: '127.0.0.1:0',
    SHADOW_NODE_LISTEN: '127.0.0.1:0',
    ...more,
  }
  const input: Input = { settings, ...(dies && { dies }) }
  // The program is started again and again. Node's compile cache halves the time of each start but the first.
  const env = { ...process.env, NODE_COMPILE_CACHE: `${data}/compiled` }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(input)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  const { front, master, token } = JSON.parse(line)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return {
    child,
    master,
    token,
    visitor: new Visitor(() => Number(new URL(front).port)),
    admin: masterClient({ url: master, token, withinMs: 30_000 }),
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  }
}
