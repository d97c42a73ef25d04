import { isatty } from 'node:tty'
import { pino } from 'pino'
import { escapeControls } from './control-characters.ts'
import { LineWriter } from './line-writer.ts'
import { prettyLine } from './log-pretty.ts'

type Fields = Record<string, unknown>

/** A log of events. An event is a short phrase with fields; durations are in ms. */
export interface Log {
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
  /** How many attempts to write the log failed, and how many lines were lost. Missing if another thread writes the log. */
  unwritten?(): { readonly failures: number; readonly lost: number }
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

type LogOptions = {
  readonly name: string
  readonly level: LogLevel
  readonly fd?: number
  /** true: JSON on a terminal too. */
  readonly json?: boolean
  /** Whether the lines for people have colours. */
  readonly colours?: boolean
}

/**
 * A log on stderr. Each line is written at once, so that a dying process loses none; `cause` fields are logged with their stack.
 * In a file or a pipe each line is JSON with an ISO 8601 time; on a terminal lines are for people, unless `json` is set.
 * A failed write throws no error: see LineWriter.
 */
export function openLog(options: LogOptions): Log {
  const { name, level, fd = STDERR, json = false, colours = false } = options
  const writer = new LineWriter({
    fd,
    onRecovered: lost => out.warn({ lost }, 'log goes on; lines before this one were lost'),
  })
  // Some fields contain text of clients and apps, and a terminal would obey its control characters. JSON stays JSON after escaping.
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
/** A log that discards everything. */
export const noLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
