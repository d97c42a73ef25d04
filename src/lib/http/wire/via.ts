/** Our name in `Via`: a pseudonym (RFC 9110, 7.6.3), so that the names of machines are not published. */
const NAME = 'shadow'
const SUFFIX = Buffer.from(` ${NAME}`)

/** How often one request may pass a Shadow. A few times are legitimate, since one Shadow may run behind another; more are a loop. */
export const MOST_PASSES = 5
export const LOOP = `the request passed here more than ${MOST_PASSES} times (Via): something behind sends it back`

/** The element that a proxy adds to `Via`. `version` is that of the request: `1.1`, `1.0`, `2`. */
export const viaOf = (version: string): string => `${version} ${NAME}`

/** Tells whether this element of `Via` is one of ours. */
export function isOurs(bytes: Uint8Array, from: number, to: number): boolean {
  const start = to - SUFFIX.length
  if (start <= from) return false
  for (let at = 0; at < SUFFIX.length; at += 1) if (bytes[start + at] !== SUFFIX[at]) return false
  return true
}
