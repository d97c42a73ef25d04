/**
 * The path of a target as rules see it: without the query, decoded once, with `/` for `\`, single slashes, and without dot segments. So a
 * request does not get round a rule by the way in which it is written. Bytes that are no UTF-8 become U+FFFD.
 */
export function normalisedPath(target: string): string {
  const [path = ''] = target.split(/[?#]/, 1)
  const isPlain = !/[%\\]|\/[/.]/.test(path) && /^[\x21-\x7e]*$/.test(path)
  if (isPlain) return path
  const segments: string[] = []
  const parts = decoded(path).replaceAll('\\', '/').split('/')
  const ends = ['', '.', '..'].includes(parts.at(-1) ?? '') ? '/' : ''
  for (const part of parts) {
    if (part === '..') segments.pop()
    else if (part !== '' && part !== '.') segments.push(part)
  }
  return segments.length === 0 ? '/' : `/${segments.join('/')}${ends}`
}

/** Each `%XX` as its byte, and all bytes as UTF-8. Targets are strings of latin1. */
function decoded(path: string): string {
  const bytes = path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}
