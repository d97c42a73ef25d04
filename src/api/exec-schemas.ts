import { z } from 'zod'
import { SIGNALS } from '../model/exec.ts'
import { InstanceIdSchema } from './schemas.ts'

const MOST_COMMAND_BYTES = 131_072
const MOST_ENV_BYTES = 65_536

const withoutNul = (text: string): boolean => !text.includes('\0')
const NUL = { error: 'cannot hold a NUL byte' }

export const TerminalSizeSchema = z.strictObject({
  columns: z.int().min(1).max(10_000),
  rows: z.int().min(1).max(10_000),
})

const bytesOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)

export const commandFields = {
  command: z
    .array(z.string().refine(withoutNul, NUL))
    .min(1)
    .max(4_096)
    .refine(words => words[0] !== '', { error: 'must begin with a program' })
    .refine(words => bytesOf(words) <= MOST_COMMAND_BYTES, { error: `is longer than ${MOST_COMMAND_BYTES} bytes` }),
  env: z
    .record(
      z.string().regex(/^[^\s=\p{Cc}]+$/u, 'a variable is named without spaces and ='),
      z.string().refine(withoutNul, NUL),
    )
    .default({})
    .refine(env => bytesOf(Object.entries(env).flat()) <= MOST_ENV_BYTES, {
      error: `is longer than ${MOST_ENV_BYTES} bytes`,
    }),
  user: z
    .string()
    .max(128)
    .regex(/^[\w.-]+(:[\w.-]+)?$/, 'must be a user, or USER:GROUP')
    .optional(),
  workdir: z.string().startsWith('/').max(4_096).refine(withoutNul, NUL).optional(),
  tty: TerminalSizeSchema.optional(),
}

/** What a session is for, as the client says it first. */
export const SessionStartSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exec'), ...commandFields }).describe('in the container of the app'),
  z
    .strictObject({ kind: z.literal('console'), ...commandFields })
    .describe('in a container of its own, without the volume'),
  z
    .strictObject({ kind: z.literal('tcp'), port: z.int().min(1).max(65_535) })
    .describe('a connection to a port of the container'),
])
/** How a connection by a TCP port of a front begins. */
export const ConnectionStartSchema = z.strictObject({
  kind: z.literal('connection'),
  port: z.int().min(1).max(65_535),
})
export type SessionStart = z.output<typeof SessionStartSchema>

export const SignalSchema = z.strictObject({ signal: z.enum(SIGNALS) })

/** What the node says when the command runs. */
export type SessionStarted = { readonly instance: string; readonly node: string }

const wake = z
  .enum(['true', 'false'])
  .default('true')
  .transform(value => value === 'true')
/** `wake`: false: fails with `app-asleep` instead of waking the app. `instance`: one of several; left out: the plain one, or one that is awake. */
export const openSessionQuery = z.strictObject({ wake, instance: InstanceIdSchema.optional() })
/** `by`: who opened it, for `shadow why`. */
export const nodeSessionQuery = z.strictObject({ wake, by: z.string().max(200) })
