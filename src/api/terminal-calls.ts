import { z } from 'zod'
import { admin, appParams, type Call } from './call-shape.ts'
import { openSessionQuery, TerminalSizeSchema } from './exec-schemas.ts'

const cells = z.coerce.number().pipe(z.int().min(1).max(10_000))

/** The call by which a browser opens a terminal in the container of an app. */
export const terminalCalls = {
  openTerminal: {
    says: 'open a shell with a terminal in the app’s container, by a WebSocket (Upgrade); its messages are described in docs/look-inside.md',
    params: appParams,
    query: openSessionQuery.extend({ columns: cells.default(80), rows: cells.default(24) }),
    answer: 'stream',
    isSession: true,
    may: admin,
  },
} satisfies Record<string, Call>

/**
 * What a client says in a text message; binary messages are what is typed. `resize`: the terminal has another size. `taken`: so many bytes of
 * the output were shown.
 */
export const TerminalRequestSchema = z.union([
  z.strictObject({ resize: TerminalSizeSchema }),
  z.strictObject({ taken: z.int().min(1) }),
])

/**
 * What the master says in a text message; binary messages are the output. `taken`: the shell has taken so many bytes of what was typed.
 * The last message is `exit` or `failed`.
 */
export type TerminalReply =
  | { readonly started: { readonly instance: string; readonly node: string } }
  | { readonly taken: number }
  | { readonly exit: { readonly code: number } }
  | { readonly failed: { readonly code: string; readonly detail: string; readonly hint?: string | undefined } }
