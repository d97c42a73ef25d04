import { isatty } from 'node:tty'
import { pino } from 'pino'
import { escapeControls } from './controls.ts'
import { LineWriter } from './line-writer.ts'
import { prettyLine } from './log-pretty.ts'

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

type LogOptions = {
  readonly name: string
  readonly level: LogLevel
  readonly fd?: number
  /** JSON also where a person looks at it. */
  readonly json?: boolean
  /** Whether lines for people have colours. */
  readonly colours?: boolean
}

/**
 * A log on stderr, written at once so that a dying process loses none; `cause` fields are told with their stack. In a file or a
 * pipe each line is JSON with the time in ISO 8601; on a terminal it is for people, unless `json` asks for JSON there too.
 * A line that cannot be written ends nothing: see LineWriter.
 */
export function openLog(options: LogOptions): Log {
  const { name, level, fd = STDERR, json = false, colours = false } = options
  const writer = new LineWriter({
    fd,
    onRecovered: lost => out.warn({ lost }, 'log goes on; lines before this one were lost'),
  })
  // What clients and apps wrote is in some fields, and a terminal would obey control characters. Escaped, JSON stays JSON.
  const format = isatty(fd) && !json ? (line: string) => prettyLine(line, colours) : escapeControls
  const out = pino(
    {
      name,
      level,
      serializers: { cause: pino.stdSerializers.errWithCause },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    { write: line => writer.write(format(line)) },
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
