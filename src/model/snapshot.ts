import type { AppName, NodeName, SnapshotId, VolumeId } from './names.ts'
import type { Size } from './quantities.ts'
import type { VolumeDriver } from './task.ts'

export const CONSISTENCIES = ['asleep', 'frozen'] as const
/** Why nothing was written at the moment of a snapshot: the app was asleep, or its filesystem was frozen while the app ran on. */
export type Consistency = (typeof CONSISTENCIES)[number]

export const SNAPSHOT_REASONS = ['asked', 'restore', 'fork', 'app'] as const
/** Why a snapshot was taken: a person asked for it, the app itself asked for it over its socket, or it keeps what a restore has replaced, or a fork was made of it. */
export type SnapshotReason = (typeof SNAPSHOT_REASONS)[number]

export const SNAPSHOT_STATES = ['taking', 'storing', 'ready'] as const
/** `taking`: its moment has not come yet, or nobody knows; `storing`: the storage has not all of its bytes yet. Only a ready one is used. */
export type SnapshotState = (typeof SNAPSHOT_STATES)[number]

/** The record of a snapshot. */
export type Snapshot = {
  readonly id: SnapshotId
  readonly volume: VolumeId
  /** The app that had the volume. */
  readonly app: AppName
  readonly state: SnapshotState
  readonly reason: SnapshotReason
  /** Who took it: the name of their token. */
  readonly by: string
  readonly note?: string | undefined
  readonly takenAt: string
  readonly driver?: VolumeDriver | undefined
  /** The node whose disk has the snapshot; left out where all nodes with the driver reach it. */
  readonly node?: NodeName | undefined
  readonly consistent?: Consistency | undefined
  /** For how long the app could not write. */
  readonly frozenMs?: number | undefined
  /** The size of the volume. */
  readonly size: Size
  /** What it takes of the storage at most; blocks may be shared with the volume. Left out where the storage does not tell. */
  readonly bytes?: number | undefined
}

/** Most snapshots of one volume, those that restores have made not counted. */
export const MOST_SNAPSHOTS = 100
/** Begins the names of those that restores have made. */
export const RESTORE_PREFIX = 'before-restore-'
/** How many of those that restores have made are kept: the newest ones. */
export const RESTORES_KEPT = 3

/** How many of those that an app asked for itself are kept, and how many it may ask to be kept. */
export const APP_KEEPS = 7
export const MOST_APP_KEEPS = 20

/** The name of a snapshot that was given none: the time, which is a DNS label. */
export const snapshotNameAt = (at: Date): string => {
  const [day = '', time = ''] = at.toISOString().split('T')
  return `${day.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}`
}

/** What a list of volumes tells of the snapshots of one. */
export type VolumeSnapshotFacts = {
  readonly count: number
  readonly bytes: number
  readonly newestAt: string
  /** When the newest of those that restores have kept was made, and what all of these take; they are counted above, too. */
  readonly undoAt?: string | undefined
  readonly undoBytes?: number | undefined
}
