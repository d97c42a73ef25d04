import type { Caller } from '../known-callers.ts'

/** Who opened a session, for `shadow why`. A token that a master made for its own machine has the file in its name, which says nothing here. */
export const sayCaller = (caller: Caller | undefined): string =>
  `token ${(caller?.name ?? 'unknown').replace(/ of \/.*/, '')}`
