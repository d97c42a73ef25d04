/** What proxies and apps call us in `Via`: a pseudonym (RFC 9110, 7.6.3), since a machine's name is nobody's business. */
const NAME = 'shadow'
const SUFFIX = Buffer.from(` ${NAME}`)

/** One Shadow may stand before another; a request that comes by more often goes round in circles. */
export const MOST_PASSES = 5
export const LOOP = `the request passed here more than ${MOST_PASSES} times (Via): something behind sends it back`

/** What a hop adds to `Via`, by the version of HTTP that the request came in: `1.1`, `1.0`, `2`. */
export const viaOf = (version: string): string => `${version} ${NAME}`

/** Whether this element of `Via` is one of ours. */
export function isOurs(bytes: Uint8Array, from: number, to: number): boolean {
  const start = to - SUFFIX.length
  if (start <= from) return false
  for (let at = 0; at < SUFFIX.length; at += 1) if (bytes[start + at] !== SUFFIX[at]) return false
  return true
}
