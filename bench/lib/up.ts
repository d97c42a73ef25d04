import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { installed } from '../../test/tools/installed.ts'
import { removeNetworkOf } from '../../test/tools/network.ts'
import { type Daemon, startDaemon } from './daemon.ts'

const CALL_WITHIN_MS = 180_000
const ANYWHERE = '127.0.0.1:0'

type Listen = { readonly front: string; readonly master: string; readonly node: string }

const hostOf = (url: string): string => new URL(url).host

/** A `shadow up` of its own, with its data in a temporary folder. Disposing of it puts its apps to sleep, so that nothing is left behind. */
export type BenchUp = AsyncDisposable & {
  readonly daemon: Daemon
  readonly front: string
  readonly api: MasterClient
  /** Kills it at once, starts it again on its data and its ports, and resolves with the ms from its start until it was ready. */
  restart(): Promise<number>
  /** The program. */
  readonly shadow: string
  /** The environment of a CLI that calls this master. */
  readonly env: NodeJS.ProcessEnv
}

/** Starts it from the built program, as a node of this name. */
export async function startUp(name = `bench-${randomBytes(3).toString('hex')}`): Promise<BenchUp> {
  await using held = new AsyncDisposableStack()
  const data = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
  held.defer(() => rm(data, { recursive: true }))
  const { shadow } = held.use(await installed())
  held.defer(() => removeNetworkOf(name))
  const start = (listen: Listen): Promise<Daemon> =>
    startDaemon(shadow, ['up', '--json', '--data', data, '--listen', listen.front], {
      env: { SHADOW_MASTER_LISTEN: listen.master, SHADOW_NODE_LISTEN: listen.node, SHADOW_NODE_NAME: name },
      signal: 'SIGINT',
    })
  let daemon = await start({ front: ANYWHERE, master: ANYWHERE, node: ANYWHERE })
  held.defer(() => daemon[Symbol.asyncDispose]())
  const { front = '', master = '' } = daemon.ready
  const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
  const kept = held.move()
  return {
    get daemon() {
      return daemon
    },
    async restart() {
      await daemon.kill()
      daemon = await start({ front: hostOf(front), master: hostOf(master), node: ANYWHERE })
      return daemon.startMs
    },
    front,
    api: masterClient({ url: master, token, withinMs: CALL_WITHIN_MS }),
    shadow,
    env: { ...process.env, SHADOW_URL: master, SHADOW_TOKEN: token },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
