import { chmod, readdir, rm, stat, statfs } from 'node:fs/promises'
import { orAborted } from '../../lib/abort.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError, exec as execHere } from '../../lib/exec.ts'
import { makeFolder } from '../../lib/files.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { VolumeUse } from '../../model/instance.ts'
import { isAppName, type VolumeId, volumeId } from '../../model/names.ts'
import { folderOf, mountedAt, mountpointOf, realFolder } from '../volumes/layout.ts'
import { checkAndGrow, growToDevice } from './check.ts'
import { FILLING, makeFilesystem, NEW, setLabel } from './ext4-tools.ts'
import type { Filesystem } from './filesystem.ts'
import { whileFrozen } from './freeze.ts'
import { mountinfo } from './mountinfo.ts'
import { Sharing } from './sharing.ts'
import { readSuperblock } from './superblock.ts'
import { Trim } from './trim.ts'

// Bytes that an app wrote are never programs with rights or devices for this machine; noatime spares a write for each read.
const OPTIONS = 'nosuid,nodev,noatime'

type Options = {
  /** Each volume is mounted at `<folder>/<volume>/mnt`. */
  readonly folder: string
  /** See `BlockDriver.file`. */
  readonly file?: ((volume: VolumeId) => string | undefined) | undefined
  readonly exec?: Exec
}

/** ext4 on volumes. */
export function ext4({ folder, file: fileOf, exec = execHere }: Options): Filesystem {
  const file = (volume: VolumeId): string | undefined => fileOf?.(volume)
  const real = realFolder(folder)
  const turns = new KeyedMutex<VolumeId>()
  const trims = new Trim(exec)
  const sharing = new Sharing(exec)
  const at = (volume: VolumeId): string => mountpointOf(folder, volume)

  /** The device that is mounted for the volume now. */
  const mountedFrom = async (volume: VolumeId): Promise<string | undefined> => {
    const place = mountpointOf(await real(), volume)
    return (await mountinfo()).find(mount => mount.at === place)?.source
  }

  const filesystem: Filesystem = {
    at,

    make: path => makeFilesystem(path, exec),

    // The resize goes on if the caller cancels: killing it half-way is worse than finishing it for no caller.
    check: (volume, device, signal) =>
      orAborted(
        turns.take(volume, () => checkAndGrow({ volume, device, file: file(volume), exec })),
        signal,
      ),

    growMounted: (volume, device) =>
      turns.take(volume, async () => {
        try {
          await growToDevice({ volume, device, file: file(volume), exec })
          return true
        } catch (error) {
          if (error instanceof ShadowError && /Permission denied/.test(error.message)) return false
          throw error
        }
      }),

    async prepare(volume) {
      await makeFolder(at(volume))
      await chmod(folderOf(folder, volume), 0o700) // an earlier version of Shadow may have made it readable by everybody
    },

    share: volume =>
      turns.take(volume, async () => {
        if ((await mountedFrom(volume)) !== undefined)
          throw new ShadowError('volume-in-use', `volume ${volume} is mounted at ${at(volume)}`)
        await sharing.share(folderOf(await real(), volume))
      }),

    unshare: volume =>
      turns.take(volume, async () => {
        if ((await mountedFrom(volume)) === undefined) await sharing.unshare(folderOf(await real(), volume))
      }),

    mount: (volume, device, signal) =>
      orAborted(
        turns.take(volume, async () => {
          try {
            await exec('mount', ['-t', 'ext4', '-o', OPTIONS, device, at(volume)])
          } catch (error) {
            if (!(error instanceof ExecError)) throw error
            const there = await mountedFrom(volume)
            if (there === device) return
            if (there !== undefined)
              throw new ShadowError('volume-in-use', `${at(volume)} has ${there} mounted, not ${device}`, {
                cause: error,
              })
            throw new ShadowError('volume-broken', `volume ${volume} cannot be mounted: ${error.stderr.trim()}`, {
              cause: error,
              hint: `look at the kernel's log (dmesg), then try: e2fsck -f ${device}`,
            })
          }
        }),
        signal,
      ),

    fill: (volume, device, put) =>
      turns.take(volume, async () => {
        const label = (await readSuperblock(device))?.label
        if (label !== NEW && label !== FILLING) return
        const there = await readdir(at(volume))
        // Data that was put on a new volume by other means, such as a restore, is left as it is.
        if (label === FILLING || there.length === 0) {
          await setLabel(device, FILLING, exec)
          for (const name of there) await rm(`${at(volume)}/${name}`, { recursive: true, force: true })
          await put(at(volume))
        }
        // The content is on the disk before the label says so, and the label before the app writes anything.
        await exec('sync', ['--file-system', at(volume)])
        await setLabel(device, '', exec)
        await exec('sync', ['--file-system', at(volume)])
      }),

    frozen: (volume, withinMs, task) =>
      turns.take(volume, () => whileFrozen({ volume, at: at(volume), withinMs }, task)),

    sync: volume =>
      turns.take(volume, async () => {
        if ((await mountedFrom(volume)) !== undefined) await exec('sync', ['--file-system', at(volume)])
      }),

    async thaw() {
      for (const volume of await mountedNow()) // One that is not frozen makes it fail.
        await exec('fsfreeze', ['--unfreeze', at(volume)]).catch(() => undefined)
      const root = await real()
      const folders = new Map(
        (await readdir(root)).flatMap(name =>
          isAppName(name) ? [[folderOf(root, volumeId(name)), volumeId(name)] as const] : [],
        ),
      )
      for (const mount of await mountinfo()) {
        const volume = folders.get(mount.at)
        if (volume !== undefined) await filesystem.unshare(volume)
      }
    },

    unmount: volume =>
      turns.take(volume, async () => {
        await trims.trim(volume, at(volume), file(volume))
        try {
          await exec('umount', [at(volume)])
        } catch (error) {
          if (!(error instanceof ExecError)) throw error
          if ((await mountedFrom(volume)) === undefined) return
          throw new ShadowError('volume-in-use', `volume ${volume} cannot be unmounted: ${error.stderr.trim()}`, {
            cause: error,
            hint: `see who uses it: fuser -vm ${at(volume)}`,
          })
        }
      }),

    use: async volume => useOf(volume, (await mountedFrom(volume)) !== undefined),

    async uses() {
      const mounted = new Set(await mountedNow())
      const ids = (await readdir(folder).catch(() => [])).flatMap(name => (isAppName(name) ? [volumeId(name)] : []))
      const found = await mapAtMost(16, ids, async id => ({ id, use: await useOf(id, mounted.has(id)) }))
      return found.flatMap(({ id, use }) => (use === undefined ? [] : [{ id, ...use }]))
    },

    mounted: mountedNow,
  }
  return filesystem

  async function mountedNow(): Promise<VolumeId[]> {
    const root = await real()
    return (await mountinfo()).flatMap(mount => mountedAt(root, mount.at) ?? [])
  }

  async function useOf(volume: VolumeId, isMounted: boolean): Promise<VolumeUse | undefined> {
    const image = file(volume)
    const onDisk = image === undefined ? undefined : await stat(image).catch(() => undefined)
    const onDiskBytes = (onDisk?.blocks ?? 0) * 512
    if (isMounted) {
      const { blocks, bfree, bsize } = await statfs(at(volume))
      return { usedBytes: (blocks - bfree) * bsize, sizeBytes: blocks * bsize, onDiskBytes }
    }
    if (image === undefined || onDisk === undefined) return undefined
    const kept = await readSuperblock(image)
    return kept && { usedBytes: kept.usedBytes, sizeBytes: kept.sizeBytes, onDiskBytes }
  }
}
