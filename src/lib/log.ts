import { pino } from 'pino'
import { escapeControls } from './controls.ts'
import { LineWriter } from './line-writer.ts'

type Fields = Record<string, unknown>

/** A log of events: a short phrase in the past or present, and fields; durations in ms. */
export interface Log {
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
  /** How writing the log went: attempts that failed, and lines that were lost. Absent where the log is not written here. */
  unwritten?(): { readonly failures: number; readonly lost: number }
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * A log as JSON lines on stderr, written at once so that a dying process loses none; `cause` fields are told with their stack.
 * A line that cannot be written ends nothing: see LineWriter.
 */
export function openLog(options: { name: string; level: LogLevel; fd?: number }): Log {
  const writer = new LineWriter({
    fd: options.fd ?? STDERR,
    onRecovered: lost => out.warn({ lost }, 'log goes on; lines before this one were lost'),
  })
  const out = pino(
    { name: options.name, level: options.level, serializers: { cause: pino.stdSerializers.errWithCause } },
    // What clients and apps wrote is in some fields, and the log of a daemon may be a terminal. It stays JSON.
    { write: line => writer.write(escapeControls(line)) },
  )
  process.once('exit', () => writer.flush())
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: Fields = {}): void =>
      out[level](fields, event)
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    unwritten: () => ({ failures: writer.failures, lost: writer.lost }),
  }
}

const STDERR = 2
const nothing = (): void => undefined
/** A log that keeps nothing. */
export const noLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
