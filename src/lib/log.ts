import { pino } from 'pino'

type Fields = Record<string, unknown>

/** A log of events: a short phrase in the past or present, and fields; durations in ms. */
export interface Log {
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** A log as JSON lines on stderr, written at once so that a dying process loses none; `cause` fields are told with their stack. */
export function openLog(options: { name: string; level: LogLevel }): Log {
  const out = pino(
    { name: options.name, level: options.level, serializers: { cause: pino.stdSerializers.errWithCause } },
    pino.destination({ dest: 2, sync: true }),
  )
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: Fields = {}): void =>
      out[level](fields, event)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

const nothing = (): void => undefined
/** A log that keeps nothing. */
export const noLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
