import { z } from 'zod'
import { admin, appParams, type Call } from './call-shape.ts'
import { commandFields, openSessionQuery, SignalSchema, TerminalSizeSchema } from './exec-schemas.ts'

const cells = z.coerce.number().pipe(z.int().min(1).max(10_000))

/** The calls by which browsers and programs run commands in the container of an app by a WebSocket. */
export const terminalCalls = {
  openTerminal: {
    says: 'open a shell with a terminal in the app’s container, by a WebSocket (Upgrade); its messages are described in docs/look-inside.md',
    params: appParams,
    query: openSessionQuery.extend({ columns: cells.default(80), rows: cells.default(24) }),
    answer: 'stream',
    isSession: true,
    may: admin,
  },
  openExec: {
    says: 'run a command in the app’s container, by a WebSocket (Upgrade), with its output and its errors apart; its messages are described in docs/look-inside.md',
    params: appParams,
    query: openSessionQuery,
    answer: 'stream',
    isSession: true,
    may: admin,
  },
} satisfies Record<string, Call>

/**
 * What a client says in a text message; binary messages are what is typed. `resize`: the terminal has another size. `taken`: so many bytes of
 * the output were shown. `inputEnd`: no more is typed.
 */
export const TerminalRequestSchema = z.union([
  z.strictObject({ resize: TerminalSizeSchema }),
  z.strictObject({ taken: z.int().min(1) }),
  SignalSchema,
  z.strictObject({ inputEnd: z.literal(true) }),
])

/** The first message of a client of `openExec`. */
export const ExecRequestSchema = z.strictObject({ start: z.strictObject(commandFields) })

/** The first byte of a binary message of `openExec` says what follows it. */
export const OUTPUT_OF = { stdout: 1, stderr: 2 } as const

/**
 * A WebSocket of a browser can show no header. It offers the protocol `shadow` and, after it, its token behind this prefix (as Kubernetes does);
 * the answer names `shadow` alone.
 */
export const SOCKET_PROTOCOL = 'shadow'
export const SOCKET_TOKEN = 'shadow.bearer.'

/**
 * What the master says in a text message; binary messages are the output. `taken`: the shell has taken so many bytes of what was typed.
 * The last message is `exit` or `failed`.
 */
export type TerminalReply =
  | { readonly started: { readonly instance: string; readonly node: string } }
  | { readonly taken: number }
  | { readonly exit: { readonly code: number } }
  | { readonly failed: { readonly code: string; readonly detail: string; readonly hint?: string | undefined } }
