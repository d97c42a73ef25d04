import { systemCode } from './errors.ts'
import { type Log, noLog } from './log.ts'

let log: Log = noLog
let onUnexpected: ((cause: unknown) => void) | undefined
let count = 0

/** How many errors in this process and its threads no code has caught. */
export const unexpectedErrors = (): number => count

/** Logs and counts an error that no code has caught. */
export function reportUncaught(cause: unknown, origin: string, fields: Record<string, unknown> = {}): void {
  count += 1
  onUnexpected?.(cause)
  // A promise may be rejected with anything, but the log shows a stack only for errors.
  log.error('unexpected error', { ...fields, origin, cause: cause instanceof Error ? cause : new Error(String(cause)) })
}

/** Counts an uncaught error of a thread, which the thread has logged. */
export function countUnexpected(): void {
  count += 1
}

type Options = {
  readonly log: Log
  readonly restart: (cause: unknown) => void
  /** Called for each error: a thread uses it so that the main thread counts the error. */
  readonly onUnexpected?: (cause: unknown) => void
}

/**
 * Handles errors that would end this process or thread (contrib/decisions/021): every error is logged and counted.
 * `restart` is called once, at the first error after which the state of this process may be inconsistent.
 */
export function handleUncaughtErrors(given: Options): void {
  log = given.log
  onUnexpected = given.onUnexpected
  let isRestarting = false
  const uncaught = (cause: unknown): void => {
    reportUncaught(cause, 'uncaughtException')
    if (isRestarting || isOfTheSystem(cause)) return
    isRestarting = true
    given.restart(cause)
  }
  // The function that failed ran its `finally` blocks, and no code waited for its promise: the state is consistent.
  const unhandled = (cause: unknown): void => reportUncaught(cause, 'unhandledRejection')
  process.on('uncaughtException', uncaught).on('unhandledRejection', unhandled)
}

/** System calls on sockets, pipes and children. Their failures arrive as events, between two steps of our code. */
const EVENT_CALLS = /^(accept|bind|connect|getaddrinfo|kill|listen|read|send|shutdown|spawn.*|write)$/

/** Whether it is a system error on a connection or a child: such an `error` event without a listener interrupts none of our code. */
function isOfTheSystem(cause: unknown): boolean {
  const call = cause instanceof Error && 'syscall' in cause ? String(cause.syscall) : ''
  return systemCode(cause) !== undefined && EVENT_CALLS.test(call)
}
