import { execFile } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { OwnDocker } from './own-docker.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The socket of the second Docker daemon, and the folder that is the temporary folder of all journeys. */
    readonly lanes: { readonly socket: string; readonly folder: string }
  }
}

const run = promisify(execFile)
const BRIDGE = 'shadow-lane'
const ADDRESS = '10.212.0.1/24'

/** Before the journeys: a second Docker daemon, and a temporary folder for both. After them: ends it and fails if anything is left. */
export default async function lanes({ provide }: TestProject): Promise<() => Promise<void>> {
  const stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shadow-j-'))
  stack.defer(() => rmdir(folder))
  // As runc starts a container, it has a copy of all mounts for a moment. A volume that another test unmounts in this moment would stay
  // in use. If its mount is shared, then the unmount happens in the copy too.
  await run('mount', ['--bind', folder, folder])
  stack.defer(() => run('umount', [folder]).then())
  await run('mount', ['--make-shared', folder])

  await run('ip', ['link', 'add', BRIDGE, 'type', 'bridge'])
  stack.defer(() => run('ip', ['link', 'delete', BRIDGE]).then())
  await run('ip', ['address', 'add', ADDRESS, 'dev', BRIDGE])
  await run('ip', ['link', 'set', BRIDGE, 'up'])
  const docker = stack.use(await OwnDocker.start('--bridge', BRIDGE))
  provide('lanes', { socket: docker.socket, folder })
  return async () => {
    const left = await docker.run('ps', '--all', '--filter', 'label=shadow.node', '--format', '{{.Names}}')
    await stack.disposeAsync()
    if (left !== '') throw new Error(`the journeys left these containers on the second Docker daemon:\n${left}`)
  }
}
