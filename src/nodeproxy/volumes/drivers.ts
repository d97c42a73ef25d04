import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName } from '../../model/names.ts'
import type { VolumeDriver } from '../../model/task.ts'
import type { BlockDriver } from './block-driver.ts'
import { BlockDrivers } from './block-drivers.ts'
import { loop } from './loop.ts'
import { pool } from './pool.ts'

type Settings = {
  readonly node: NodeName
  /** Where volumes of this machine are, one folder for each. */
  readonly folder: string
  /** A folder on storage that all nodes of the pool see; left out: this node is in no pool. */
  readonly pool?: string | undefined
  /** The driver of AWS EBS, opened; left out: this node does not have it. */
  readonly ebs?: BlockDriver | undefined
  /** The driver of DigitalOcean, opened; left out: this node does not have it. */
  readonly digitalocean?: BlockDriver | undefined
  /** How many times the room on the disk all volumes may be promised together; left out: the driver's own limit. */
  readonly overcommit?: number | undefined
  /** So much of the disk is left free by snapshots. */
  readonly floorBytes?: number | undefined
  readonly exec: Exec
  readonly log: Log
}

/** Each driver by its name; undefined where the settings leave it out. */
const drivers: Readonly<Record<VolumeDriver, (settings: Settings) => BlockDriver | undefined>> = {
  loop,
  pool: settings => (settings.pool === undefined ? undefined : pool({ ...settings, folder: settings.pool })),
  ebs: settings => settings.ebs,
  digitalocean: settings => settings.digitalocean,
}

/** Opens the block drivers that the settings name. */
export function openBlockDrivers(settings: Settings): BlockDrivers {
  const opened = Object.entries(drivers).map(([name, open]) => [name, open(settings)] as const)
  return new BlockDrivers(Object.fromEntries(opened.filter(([, driver]) => driver !== undefined)))
}
