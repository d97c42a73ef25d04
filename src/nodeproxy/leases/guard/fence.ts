import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ShadowError } from '../../../lib/errors.ts'
import { exec } from '../../../lib/exec.ts'
import type { VolumeId } from '../../../model/names.ts'
import { type Mounted, mountinfo } from '../../filesystem/mountinfo.ts'
import type { BlockDriver } from '../../volumes/block-driver.ts'

type Fenced = {
  readonly volume: VolumeId
  /** Where the volume is mounted. */
  readonly at: string
  /** The folder of the records of this node's containers. */
  readonly containers: string
  readonly driver: BlockDriver
  /** Whether the lease has ended: then nothing more may be written, not even what the kernel has not written yet. */
  readonly isLate: boolean
}

const GONE_WITHIN_MS = 2_000

/**
 * Ends all writes to a volume: kills the processes of this node's containers that see it, unmounts and detaches it. Returns how many
 * processes it has killed. Fails where something still has the volume in use; then its filesystem refuses writes from now on.
 */
export async function fence({ volume, at, containers, driver, isLate }: Fenced): Promise<number> {
  const mount = await mountedAt(at)
  let killed = 0
  if (mount !== undefined) {
    if (isLate) await refuseWrites(at)
    const ids = await containerIds(containers)
    const users = await processesThatSee(mount, ids)
    for (const pid of users) killed += kill(pid)
    if (!(await areGone(mount, ids))) {
      await refuseWrites(at)
      throw new ShadowError(
        'volume-in-use',
        `processes that use volume ${volume} do not end: its writes are refused now`,
      )
    }
    // A hanging unmount must not keep the fence from the next attempt, which refuses writes.
    await exec('timeout', ['5', 'umount', at]).catch(async error => {
      if ((await mountedAt(at)) === undefined) return
      await refuseWrites(at)
      throw error
    })
  }
  await driver.detach(volume)
  return killed
}

/**
 * Makes the filesystem refuse all writes, of files that are open too. Neither `blockdev --setro` nor a lazy `umount` or `losetup
 * --detach` does that: the filesystem goes on writing (contrib/decisions/032).
 */
async function refuseWrites(at: string): Promise<void> {
  await exec('timeout', ['5', 'mount', '-o', 'remount,abort', at]).catch(() => undefined) // it has been aborted before
}

const mountedAt = async (at: string): Promise<Mounted | undefined> => (await mountinfo()).find(mount => mount.at === at)

/** The ids of the containers that this node has made. Others may see the volume too, such as one that has all of `/` mounted. */
async function containerIds(folder: string): Promise<readonly string[]> {
  const files = (await readdir(folder).catch(() => [])).filter(name => name.endsWith('.json'))
  const ids = files.map(async name => {
    const text = await readFile(`${folder}/${name}`, 'utf8').catch(() => '') // it was removed meanwhile
    return /"id":"([0-9a-f]{64})"/.exec(text)?.[1] ?? []
  })
  return (await Promise.all(ids)).flat()
}

async function processesThatSee({ device }: Mounted, containers: readonly string[]): Promise<number[]> {
  const found: number[] = []
  const sees = new Map<string, boolean>()
  const ours = await readlink('/proc/self/ns/mnt')
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const [namespace, cgroups] = await Promise.all([
      readlink(`/proc/${pid}/ns/mnt`).catch(() => ours), // it has ended
      readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => ''),
    ])
    if (namespace === ours || !containers.some(id => cgroups.includes(id))) continue
    if (!sees.has(namespace)) {
      const mounts = await mountinfo(pid).catch(() => undefined)
      if (mounts === undefined) continue
      sees.set(
        namespace,
        mounts.some(mount => mount.device === device),
      )
    }
    if (sees.get(namespace)) found.push(pid)
  }
  return found
}

async function areGone(mount: Mounted, containers: readonly string[]): Promise<boolean> {
  const end = performance.now() + GONE_WITHIN_MS
  for (;;) {
    const left = await processesThatSee(mount, containers)
    if (left.length === 0) return true
    if (performance.now() > end) return false
    for (const pid of left) kill(pid) // started meanwhile
    await sleep(20)
  }
}

function kill(pid: number): number {
  try {
    process.kill(pid, 'SIGKILL')
    return 1
  } catch {
    return 0 // it has ended
  }
}
