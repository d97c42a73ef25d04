import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import type { BlockDriver } from './block-driver.ts'
import { loop } from './loop.ts'

type Settings = {
  /** Where volumes of this machine are, one folder for each. */
  readonly folder: string
  /** How many times the room on the disk all volumes may be promised together; left out: the driver's own limit. */
  readonly overcommit?: number | undefined
  readonly exec: Exec
  readonly log: Log
}

type DriverName = 'loop'

const drivers: Readonly<Record<DriverName, (settings: Settings) => BlockDriver>> = { loop }

/** Opens the block driver of this name. */
export const openBlockDriver = (name: DriverName, settings: Settings): BlockDriver => drivers[name](settings)
