import { open } from 'node:fs/promises'
import type { RepositoryAccess, Restored } from '../../api/backup-schemas.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import type { Extent } from '../../lib/sparse.ts'
import type { Turns } from '../../lib/turns.ts'
import { type Backup, shortId } from '../../model/backup.ts'
import type { Keep } from '../../model/backup-policy.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import type { AppName, SnapshotId, VolumeId } from '../../model/names.ts'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import type { Moments } from '../snapshots/moments.ts'
import type { VolumeRestores } from '../snapshots/volume-restores.ts'
import type { VolumeView, VolumeViews } from '../snapshots/volume-views.ts'
import { dataExtents } from '../volumes/data-extents.ts'
import { imageDigest } from '../volumes/image-digest.ts'
import type { BroughtImages } from './brought-images.ts'
import type { NewDisks } from './new-disks.ts'
import type { KeptBackup, repositories } from './repository.ts'

type Options = {
  readonly moments: Pick<Moments, 'find'>
  readonly restores: Pick<VolumeRestores, 'switchTo'>
  readonly views: Pick<VolumeViews, 'open'>
  readonly repository: ReturnType<typeof repositories>
  readonly images: BroughtImages
  readonly newDisks: NewDisks
  /** Few volumes at a time: others wait. */
  readonly turns: Turns<AppName>
  readonly journal: (instance: InstanceId, line: string) => void
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

type Of = { readonly volume: VolumeId; readonly app: AppName }
type Asked = Of & { readonly permit: string | undefined; readonly signal: AbortSignal }
type Made = Omit<Backup, 'why' | 'node'>
type Restoring = Asked & {
  /** The volume that was backed up. */
  readonly from: VolumeId
  readonly backup: Restored
  readonly access: RepositoryAccess
  /** What the volume has now becomes a snapshot of this name. Left out for a dry run. */
  readonly keep?: SnapshotId | undefined
}
/** `kept` is false where the volume had no bytes. */
type Placed = { readonly ms: number; readonly heldMs: number; readonly kept: boolean; readonly bytes?: number }

/** Backups of the volumes of this node, made and restored by restic. None of them wakes an app. */
export class VolumeBackups {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** Removes what a killed run of this node has left half-restored. */
  recover(): Promise<void> {
    return this.#options.images.recover()
  }

  /** Stores the volume as it is at one moment. Fails with `not-found` where it has no data yet. */
  backUp(asked: Asked & { readonly why: string; readonly access: RepositoryAccess }): Promise<Made> {
    const { volume, app, why, access, permit, signal } = asked
    const { repository, views, clock } = this.#options
    return this.#told(app, 'backup', signal, async () => {
      const began = clock.now()
      await using view = await views.open({ volume, app, permit }, signal)
      await using file = await open(view.path)
      const extents = await this.#extentsOf(view)
      const { digest, dataBytes } = await imageDigest(file, extents, view.sizeBytes, signal)
      const store = repository({ volume, access, signal })
      if (access.isNew) await store.init()
      const { id, addedBytes } = await store.backUp(file.fd, view.takenAt, [why, `digest-${digest}`])
      const ms = clock.now() - began
      const { takenAt: at, sizeBytes } = view
      const made = { id, at, sizeBytes, dataBytes, addedBytes, ms, digest }
      return { value: made, line: `backup ${shortId(made)} made in ${sayMs(ms)}: ${sayBytes(addedBytes)} added` }
    })
  }

  /** A device tells no holes, so all of it is read; blocks of zeros count as holes all the same. */
  async #extentsOf({ path, isDevice, sizeBytes }: VolumeView): Promise<Extent[]> {
    return isDevice ? [[0, sizeBytes]] : dataExtents(path, this.#options.exec, { isAtRest: true })
  }

  /** Restores the backup to a file, checks it, and removes it. */
  verify(asked: Asked & { readonly backup: Restored; readonly access: RepositoryAccess }): Promise<{ ms: number }> {
    const { app, volume, backup, signal } = asked
    const { clock, moments, images } = this.#options
    return this.#told(app, 'test of a backup', signal, async () => {
      const began = clock.now()
      const { ref } = await moments.find(asked)
      await using _ = await images.bring({ ...asked, ref, from: volume })
      const ms = clock.now() - began
      return { value: { ms }, line: `backup ${backup.backup.slice(0, 8)} tested in ${sayMs(ms)}: it is whole` }
    })
  }

  /**
   * Restores the backup, and lets it take the place of the volume's bytes while the app is asleep; a disk of a cloud is made of it where there is
   * none yet. Without `keep` it only looks whether that can be done.
   */
  restore(asked: Restoring): Promise<Placed> {
    const { app, backup, signal, keep } = asked
    const { clock, moments, images, restores, newDisks } = this.#options
    return this.#told(app, 'restore', signal, async () => {
      const began = clock.now()
      const { ref } = await moments.find(asked)
      if (newDisks.isFor(ref)) await newDisks.mustBeNew(asked, signal)
      if (keep === undefined) {
        await using _ = await images.begin(ref, backup)
        return { value: { ms: 0, heldMs: 0, kept: false }, line: undefined }
      }
      await using brought = await images.bring({ ...asked, ref })
      const { swap } = brought
      const done =
        swap === undefined
          ? await newDisks.make(asked, brought.file, signal)
          : await restores.switchTo({ swap }, { ...asked, keep }, signal)
      const ms = clock.now() - began
      const before = done.kept ? `; what was before is the snapshot ${keep}` : ''
      const line = `backup ${backup.backup.slice(0, 8)} restored in ${sayMs(ms)}${before}`
      return { value: { ...done, ms }, line }
    })
  }

  /** Deletes the backups that the rules do not keep, with the data that no backup needs any more. Resolves with those that are left. */
  prune(asked: Asked & { readonly keep: Keep; readonly access: RepositoryAccess }): Promise<readonly KeptBackup[]> {
    const { app, volume, keep, access, signal } = asked
    const { repository, clock } = this.#options
    return this.#told(app, 'pruning of backups', signal, async () => {
      const began = clock.now()
      const { kept, removed } = await repository({ volume, access, signal }).prune(keep)
      const line = removed === 0 ? undefined : `${removed} old backups removed in ${sayMs(clock.now() - began)}`
      return { value: kept, line }
    })
  }

  /** Takes a turn, and notes in the journal of the app how it ended. */
  async #told<T>(
    app: AppName,
    what: string,
    signal: AbortSignal,
    work: () => Promise<{ value: T; line: string | undefined }>,
  ): Promise<T> {
    const { turns, journal, log } = this.#options
    try {
      const { value, line } = await turns.run(app, work, signal)
      if (line !== undefined) {
        journal(instanceId(app), line)
        log.info(what, { app, line })
      }
      return value
    } catch (error) {
      const { code, message } = asShadowError(signal.aborted ? signal.reason : error)
      if (code === 'not-found') throw error // there is no data yet
      journal(instanceId(app), `${what} failed: ${message}`)
      log.warn(`${what} failed`, { app, cause: error })
      throw error
    }
  }
}
