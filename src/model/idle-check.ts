import { ShadowError } from '../lib/errors.ts'
import { sayCommand } from './exec.ts'

/**
 * How an app is asked whether it is idle, before it is put to sleep. `http`: 2xx means idle, 409 and 503 mean at work. `command`, run in the
 * container: exit code 0 means idle, others mean at work. Everything else is a check that failed.
 */
export type IdleCheck =
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'command'; readonly command: readonly string[] }

const COMMAND = 'command:'

/** Parses `http:/path` or `command:LINE`, a line for the shell of the container; fails with `bad-input`. */
export function idleCheck(text: string): IdleCheck {
  if (text.startsWith('http:')) return { kind: 'http', path: text.slice(5) }
  if (text.startsWith(COMMAND)) return idleCommand(text.slice(COMMAND.length))
  throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is none of http:/path, command:LINE and none`)
}

/** A check by a line for the shell of the container; fails with `bad-input`. */
export function idleCommand(line: string): IdleCheck {
  if (line.trim() === '') throw new ShadowError('bad-input', 'the command is empty')
  return { kind: 'command', command: ['sh', '-c', line.trim()] }
}

/** The check as people write it. */
export function sayIdleCheck(check: IdleCheck): string {
  if (check.kind === 'http') return `http:${check.path}`
  const [program, option, line] = check.command
  const isLine = program === 'sh' && option === '-c' && check.command.length === 3
  return `${COMMAND}${sayCommand(isLine && line !== undefined ? [line] : check.command)}`
}
