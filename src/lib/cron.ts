import { Cron } from 'croner'
import { ShadowError } from './errors.ts'

/** The times of a cron expression. */
export type CronTimes = {
  /** The first time after this one, both in ms since the epoch; undefined: there is none. */
  next(after: number): number | undefined
}

const LONGEST = 100

/**
 * Parses a cron expression of five fields (minute, hour, day, month, weekday) in a time zone of the IANA database. A time that a change of the
 * clock skips comes at once after it, and one that comes twice counts once. Fails with `bad-input`.
 */
export function cronTimes(expression: string, zone: string): CronTimes {
  const shown = JSON.stringify(expression.slice(0, LONGEST))
  const fields = expression.trim().split(/\s+/)
  // A field for seconds would be taken too, and let an app be woken sixty times a minute.
  if (expression.length > LONGEST || (fields.length !== 5 && !/^@[a-z]+$/.test(expression)))
    throw new ShadowError('bad-input', `${shown} has not the five fields of cron: minute, hour, day, month, weekday`)
  mustBeZone(zone)
  try {
    const cron = new Cron(expression, { timezone: zone, paused: true })
    return { next: after => cron.nextRun(new Date(after))?.getTime() }
  } catch (cause) {
    throw new ShadowError('bad-input', `${shown} is no cron expression: ${(cause as Error).message}`, { cause })
  }
}

function mustBeZone(zone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
  } catch {
    throw new ShadowError(
      'bad-input',
      `"${zone.slice(0, LONGEST)}" is no time zone; write it like Europe/Berlin or UTC`,
    )
  }
}
