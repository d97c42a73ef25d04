import { systemCode } from './errors.ts'
import { type Log, noLog } from './log.ts'

let log: Log = noLog
let onUnexpected: (() => void) | undefined
let count = 0

/** How many errors this process and its threads have met that no code was there to take. */
export const unexpectedErrors = (): number => count

/** Tells of an error that no code was there to take, and counts it. */
export function tellUnexpected(cause: unknown, origin: string, fields: Record<string, unknown> = {}): void {
  count += 1
  onUnexpected?.()
  // A promise may be rejected with anything, and the log tells only errors with their stack.
  log.error('unexpected error', { ...fields, origin, cause: cause instanceof Error ? cause : new Error(String(cause)) })
}

/** Counts errors of a thread, which the thread has told of. */
export function countUnexpected(): void {
  count += 1
}

type LastResort = {
  readonly log: Log
  readonly restart: (cause: unknown) => void
  /** Called with each error: a thread lets the main thread count it. */
  readonly onUnexpected?: () => void
}

/**
 * Takes what would end this process or thread (contrib/decisions/021): every error is told of and counted. `restart` is called once,
 * at the first error after which the state of this process may be inconsistent.
 */
export function takeLastResort(given: LastResort): void {
  log = given.log
  onUnexpected = given.onUnexpected
  let isRestarting = false
  const uncaught = (cause: unknown): void => {
    tellUnexpected(cause, 'uncaughtException')
    if (isRestarting || isOfTheSystem(cause)) return
    isRestarting = true
    given.restart(cause)
  }
  // The function that failed was left in order, through its `finally` blocks; nobody has waited for what it promised.
  const unhandled = (cause: unknown): void => tellUnexpected(cause, 'unhandledRejection')
  process.on('uncaughtException', uncaught).on('unhandledRejection', unhandled)
}

/** Calls of the system on sockets, pipes and children. Their failures come as events, between two steps of our code. */
const EVENT_CALLS = /^(accept|bind|connect|getaddrinfo|kill|listen|read|send|shutdown|spawn.*|write)$/

/** Whether an error is one of the system on a connection or a child: an `error` event without a listener cuts no code of ours short. */
function isOfTheSystem(cause: unknown): boolean {
  const call = cause instanceof Error && 'syscall' in cause ? String(cause.syscall) : ''
  return systemCode(cause) !== undefined && EVENT_CALLS.test(call)
}
