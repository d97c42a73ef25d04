import type { Caller } from '../known-callers.ts'

/** Who opened a session, for `shadow why`. A token that a master made for its own machine has the file in its name, which says nothing here. */
export const sayCaller = (caller: Caller | undefined): string =>
  // A person who signed in to the dashboard by OIDC has no token.
  caller?.session?.by === 'oidc' ? caller.session.name : `token ${(caller?.name ?? 'unknown').replace(/ of \/.*/, '')}`
