import type { InstanceView } from '../model/instance.ts'
import { sayMs } from '../model/quantities.ts'

/** Says which uses of the app a stop may cut, before the command stops it; empty if there are none. */
export function sayDrain(instance: InstanceView | undefined, of: 'stopMs' | 'updateMs'): string {
  if (instance?.phase !== 'awake' || instance.holds.length === 0 || instance.drain === undefined) return ''
  const { length } = instance.holds
  const within = sayMs(instance.drain[of])
  if (length === 1) return `1 use of it has up to ${within} to end, and is cut then (--drain)\n`
  return `${length} uses of it have up to ${within} to end, and are cut then (--drain)\n`
}

/** Says how many uses the stop has cut; empty if none. */
export function sayCut({ cut = 0 }: InstanceView): string {
  if (cut === 0) return ''
  return `${cut === 1 ? '1 use of it was' : `${cut} uses of it were`} cut\n`
}
