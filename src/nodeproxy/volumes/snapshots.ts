import { ShadowError } from '../../lib/errors.ts'
import type { SnapshotId, VolumeId } from '../../model/names.ts'

/** A snapshot, by the volume that it was taken of and the name that it was given. */
export type SnapshotRef = { readonly volume: VolumeId; readonly id: SnapshotId }

/** What was copied for a snapshot beforehand. */
export type Prepared = AsyncDisposable & {
  /** About how long the rest takes, in milliseconds. */
  rest(): Promise<number>
  /** Copies the rest, while nothing writes to the volume, and answers with the file that has the whole copy. */
  finish(signal: AbortSignal): Promise<string>
}

/** Bytes that can take the place of those of a volume. */
export type Replacement = AsyncDisposable & {
  /** The file with the bytes, in a folder that has nothing else. */
  readonly file: string
  /**
   * Gives the volume, which is detached, these bytes by one step: after a crash the volume has either all of its old bytes or all of the new
   * ones. The old bytes become the snapshot `keep`; there must be none of that name. False where the volume had no bytes.
   */
  swap(keep: SnapshotId): Promise<boolean>
}

/** How volumes get other bytes by one step. Whoever begins a replacement disposes of it in any case. */
export interface Replacements {
  /** A place for bytes that come from elsewhere: the caller writes them to its file. */
  blank(volume: VolumeId): Promise<Replacement>
  /** Copies a snapshot beforehand, while its volume may be used. Fails with `not-found`, `disk-full`. */
  copyOf(snapshot: SnapshotRef, signal: AbortSignal): Promise<Replacement>
  /** Removes what killed runs of this node have begun. */
  recover(): Promise<void>
}

/**
 * The bytes of volumes as they were at one moment, kept beside the volumes. A snapshot outlives its volume: whoever removes the volume
 * for good removes its snapshots too. Every call may be repeated, as those of `BlockDriver` may. Only what carries the tags of this
 * cluster is seen, and removed.
 *
 * What the filesystem has not written yet is in no snapshot, and storage that copies byte by byte takes longer than a moment. So the
 * caller has the volume's lease, and sees to it that nothing writes from before `take` until it has ended: the app is asleep, or its
 * filesystem is frozen. The driver does not check that.
 */
export interface Snapshots {
  /**
   * Copies beforehand, while the volume may be written, what `take` would have to copy otherwise; undefined where `take` is short anyway.
   * The caller gives the result to `take`, and disposes of it in any case. Left out by a driver whose `take` is always short. Fails with
   * `not-found`, `disk-full`.
   */
  prepare?(snapshot: SnapshotRef, signal: AbortSignal): Promise<Prepared | undefined>
  /**
   * Takes the snapshot, where there is none of this name. Nothing that is written after this call has ended is part of it. A call that
   * failed may have taken it all the same. Fails with `not-found` where there is no such volume; with `disk-full`.
   */
  take(snapshot: SnapshotRef, signal: AbortSignal, prepared?: Prepared): Promise<void>
  /**
   * Waits until the storage has all bytes of the snapshot; the volume may be written meanwhile. Fails with `not-found`; with
   * `cloud-failed` where the storage could not finish it, after which there is no such snapshot.
   */
  finish(snapshot: SnapshotRef, signal: AbortSignal): Promise<void>
  /** The snapshots of the volume, those that are not finished too. */
  of(volume: VolumeId): Promise<readonly SnapshotId[]>
  /** Deletes the snapshot. Volumes that were made from it keep their bytes. */
  remove(snapshot: SnapshotRef): Promise<void>
  /** Left out where a volume cannot get other bytes by one step. */
  readonly replacements?: Replacements
  /** How many bytes of the storage the snapshot takes at most. Left out where the storage does not tell. */
  bytesOf?(snapshot: SnapshotRef): Promise<number>
  /** The file that has the bytes of a snapshot; fails with `not-found`. Left out where they are in no file. */
  file?(snapshot: SnapshotRef): Promise<string>
}

export const noSuchSnapshot = ({ volume, id }: SnapshotRef): ShadowError =>
  new ShadowError('not-found', `volume ${volume} has no snapshot ${id}`)

type Turn = <T>(volume: VolumeId, what: string, work: () => Promise<T>) => Promise<T>
type Failing = <T>(what: string, work: Promise<T>) => Promise<T>

/** The snapshots of a cloud: changes take turns of the volume, and failures say what was to be done. */
export const inTurns = (snapshots: Snapshots, turn: Turn, failing: Failing): Snapshots => ({
  // The call goes on when the caller leaves: otherwise the app would write on while the order is given.
  take: (snapshot, signal) =>
    turn(snapshot.volume, `take the snapshot ${snapshot.id} of`, () => snapshots.take(snapshot, signal)),
  // Takes no turn: the app may wake meanwhile.
  finish: (snapshot, signal) =>
    failing(`finish the snapshot ${snapshot.id} of volume ${snapshot.volume}`, snapshots.finish(snapshot, signal)),
  of: volume => failing(`list the snapshots of volume ${volume}`, snapshots.of(volume)),
  remove: snapshot => turn(snapshot.volume, `remove the snapshot ${snapshot.id} of`, () => snapshots.remove(snapshot)),
})
