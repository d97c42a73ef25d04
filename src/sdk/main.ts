/** The TypeScript client for programs that use sessions. It has no dependencies, and runs in Node, in browsers, and where else there is `fetch`. */
export type { FileEntry } from '../api/file-scripts.ts'
export { type ClientOptions, ShadowClient } from './client.ts'
export type { CommandOptions, SandboxCommand, SignalName, SpawnOptions, TerminalSize } from './command.ts'
export { ShadowFailure } from './failure.ts'
export { type SessionHooks, sessionHooks } from './hooks.ts'
export type { ExecOptions, ExecResult, Sandbox } from './sandbox.ts'
export type { Connected, ConnectRequest, SessionState, SessionStatus, SessionView } from './types.ts'
