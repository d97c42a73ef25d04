import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { installed } from '../../test/tools/installed.ts'
import { type Daemon, startDaemon } from './daemon.ts'

const CALL_WITHIN_MS = 180_000

/** A `shadow up` of its own, with its data in a temporary folder. Disposing of it puts its apps to sleep, so that nothing is left behind. */
export type BenchUp = AsyncDisposable & {
  readonly daemon: Daemon
  readonly front: string
  readonly api: MasterClient
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
  const anywhere = '127.0.0.1:0'
  const daemon = held.use(
    await startDaemon(shadow, ['up', '--json', '--data', data, '--listen', anywhere], {
      env: { SHADOW_MASTER_LISTEN: anywhere, SHADOW_NODE_LISTEN: anywhere, SHADOW_NODE_NAME: name },
      signal: 'SIGINT',
    }),
  )
  const { front = '', master = '' } = daemon.ready
  const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
  const kept = held.move()
  return {
    daemon,
    front,
    api: masterClient({ url: master, token, withinMs: CALL_WITHIN_MS }),
    shadow,
    env: { ...process.env, SHADOW_URL: master, SHADOW_TOKEN: token },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
