import type { App } from '../model/app.ts'
import type { Made } from '../model/release.ts'

/** The first characters of a digest, which tell it from others as well as all of it does for a person. */
export const shortDigest = (digest: string): string => digest.slice(digest.lastIndexOf(':') + 1).slice(0, 12)

/** An image with the digest of what it stands for. */
export const sayImage = (image: string, digest: string | null | undefined): string =>
  digest ? `${image.replace(/@.*$/, '')}@${shortDigest(digest)}` : image

/** What made a release, and who. */
export function sayMade(made: Made | null): string {
  if (made === null) return '-'
  const what = made.to === undefined ? made.by : `${made.by} to ${made.to}`
  // The token that a master makes for its own machine is named by its file.
  const who = made.who?.replace(/ of \/.*$/, '')
  return who === undefined ? what : `${what} (${who})`
}

/** How long uses of the earlier release may go on. The node is not asked, since it may be away. */
export function sayAllowed({ task }: App): string {
  // A master of an earlier version may leave the field out.
  const own = (task as Partial<App['task']>).sleep?.drain
  const howLong = own === undefined ? 'as long as SHADOW_APP_DRAIN_UPDATE of its node says' : `for ${own}`
  return `uses of an earlier revision that are under way may go on ${howLong} (--drain)\n`
}
