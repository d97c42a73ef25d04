import type { InstanceView } from '../model/instance.ts'
import { sayMs } from '../model/quantities.ts'

/** What a command that is about to stop the app may cut; empty where nobody uses it. */
export function sayDrain(instance: InstanceView | undefined, of: 'stopMs' | 'updateMs'): string {
  if (instance?.phase !== 'awake' || instance.holds.length === 0 || instance.drain === undefined) return ''
  const { length } = instance.holds
  const within = sayMs(instance.drain[of])
  if (length === 1) return `1 use of it has up to ${within} to end, and is cut then (--drain)\n`
  return `${length} uses of it have up to ${within} to end, and are cut then (--drain)\n`
}

/** What the stop of the app has cut; empty where that was nothing. */
export function sayCut({ cut = 0 }: InstanceView): string {
  if (cut === 0) return ''
  return `${cut === 1 ? '1 use of it was' : `${cut} uses of it were`} cut\n`
}
