import type { App } from '../model/app.ts'

/** How long uses of the earlier release may go on. The node is not asked, since it may be away. */
export function sayAllowed({ task }: App): string {
  // A master of an earlier version may leave the field out.
  const own = (task as Partial<App['task']>).sleep?.drain
  const howLong = own === undefined ? 'as long as SHADOW_APP_DRAIN_UPDATE of its node says' : `for ${own}`
  return `uses of an earlier revision that are under way may go on ${howLong} (--drain)\n`
}
