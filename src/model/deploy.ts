/** What becomes of open sessions when a newer release serves: `move`: they go to it; `stay`: each stays on the release that it began with. */
export const SESSION_POLICIES = ['move', 'stay'] as const
export type SessionPolicy = (typeof SESSION_POLICIES)[number]

/** How a newer release of an app takes over. */
export type Deploy = { readonly sessions: SessionPolicy }
