import type { Made } from './release.ts'

/** The first characters of a digest, which tell it from others as well as all of it does for a person. */
export const shortDigest = (digest: string): string => digest.slice(digest.lastIndexOf(':') + 1).slice(0, 12)

/** An image with the digest of what it stands for. */
export const sayImage = (image: string, digest: string | null | undefined): string =>
  digest ? `${image.replace(/@.*$/, '')}@${shortDigest(digest)}` : image

/** What made a release, and who. */
export function sayMade(made: Made | null): string {
  if (made === null) return '-'
  const what = made.to === undefined ? made.by : `${made.by} to ${made.to}`
  return made.who === undefined ? what : `${what} (${sayToken(made.who)})`
}

/** The name of a token. The one that a master makes for its own machine is named by its file, which says nothing elsewhere. */
export const sayToken = (name: string): string => name.replace(/ of \/.*$/, '')
