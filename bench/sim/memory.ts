import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The memory in use by JavaScript after a garbage collection, in bytes: the heap, and what lies outside of it. */
export function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const gc: () => void = runInNewContext('gc')
  gc()
  gc() // frees what the first run finalised
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
