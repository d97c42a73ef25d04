import { isDeepStrictEqual } from 'node:util'
import { namesDomains } from '../model/egress.ts'
import type { TaskDefinition } from '../model/task.ts'
import { isSameBut } from './same-but.ts'

/**
 * Whether the next revision changes only what the app may reach, in a way that needs no other container: with domains, a container has
 * another name server than without.
 */
export function changesEgressOnly(runs: TaskDefinition, next: TaskDefinition): boolean {
  if (namesDomains(runs.egress) !== namesDomains(next.egress)) return false
  if (isDeepStrictEqual(runs.egress ?? [], next.egress ?? [])) return false
  return isSameBut(runs, next, () => ({ egress: undefined }))
}
