import { execFile } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { bridgedDocker } from './bridged-docker.ts'
import type { OwnDocker } from './own-docker.ts'

declare module 'vitest' {
  interface ProvidedContext {
    readonly lanes: {
      /** The sockets of the Docker daemons beside the machine's own. */
      readonly sockets: readonly string[]
      /** The temporary folder of all journeys. */
      readonly folder: string
    }
  }
}

const run = promisify(execFile)

/**
 * Before the journeys: starts a Docker daemon for each worker but the first, and makes a temporary folder for all of them. After them:
 * ends the daemons, and fails if anything is left.
 */
export default async function lanes({ provide, config }: TestProject): Promise<() => Promise<void>> {
  await using started = new AsyncDisposableStack() // undone if this function fails
  const folder = await mkdtemp(join(tmpdir(), 'shadow-j-'))
  started.defer(() => rmdir(folder))
  // As runc starts a container, it has a copy of all mounts for a moment. A volume that another test unmounts in this moment would stay
  // in use. If its mount is shared, then the unmount happens in the copy too.
  await run('mount', ['--bind', folder, folder])
  started.defer(() => run('umount', [folder]).then())
  await run('mount', ['--make-shared', folder])

  const dockers: OwnDocker[] = []
  for (let lane = 1; lane < Number(config.maxWorkers); lane++) dockers.push(await bridgedDocker(started))
  provide('lanes', { sockets: dockers.map(({ socket }) => socket), folder })
  const stack = started.move()
  return async () => {
    const left = await Promise.all(
      dockers.map(docker => docker.run('ps', '--all', '--filter', 'label=shadow.node', '--format', '{{.Names}}')),
    )
    await stack.disposeAsync()
    if (left.some(names => names !== ''))
      throw new Error(`the journeys left these containers on Docker daemons of their own:\n${left.join('\n')}`)
  }
}
