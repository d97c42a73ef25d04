import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { OwnDocker } from './own-docker.ts'

const run = promisify(execFile)
/** How many networks there are for bridges. */
const LANES = 254

/** Starts a daemon with a bridge of its own: without one, it would give docker0 of the machine an address of its own pool. */
export async function bridgedDocker(stack: AsyncDisposableStack, ...options: string[]): Promise<OwnDocker> {
  const bridge = await addBridge()
  stack.defer(() => run('ip', ['link', 'delete', bridge]).then())
  await run('ip', ['link', 'set', bridge, 'up'])
  return stack.use(await OwnDocker.start('--bridge', bridge, ...options))
}

/** Adds a bridge with a network of its own. Those of another run, or of a run that was killed, are left alone. */
async function addBridge(): Promise<string> {
  for (let lane = 1; ; lane++) {
    const bridge = `shadow-lane-${lane}`
    try {
      await run('ip', ['link', 'add', bridge, 'type', 'bridge'])
    } catch (error) {
      if (lane < LANES && String(error).includes('File exists')) continue
      throw error
    }
    await run('ip', ['address', 'add', `10.212.${lane}.1/24`, 'dev', bridge])
    return bridge
  }
}
