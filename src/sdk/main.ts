/** The TypeScript client for programs that use sessions. It has no dependencies, and runs in Node, in browsers, and where else there is `fetch`. */
export { type ClientOptions, ShadowClient } from './client.ts'
export { ShadowFailure } from './failure.ts'
export { type SessionHooks, sessionHooks } from './hooks.ts'
export type { Connected, ConnectRequest, SessionState, SessionStatus, SessionView } from './types.ts'
