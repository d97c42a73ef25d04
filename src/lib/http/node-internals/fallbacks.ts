/** What is used of Node although Node does not publish it. Each has a fallback through the published API. */
type Internal = 'tls-writes' | 'reads'

const without = new Set<Internal>()

/** Tells whether an internal of Node is to be used. */
export const uses = (internal: Internal): boolean => !without.has(internal)

/** Uses the fallbacks of these internals, and of no others, for sockets from now on. For tests and benches. @internal */
export function useFallbacks(internals: readonly Internal[]): void {
  without.clear()
  for (const internal of internals) without.add(internal)
}
