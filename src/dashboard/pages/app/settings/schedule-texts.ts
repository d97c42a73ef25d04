import { SCHEDULE_DEFAULTS } from '../../../../model/schedule.ts'
import { shellWords, splitWords } from '../../../shell-words.ts'

export type ScheduleTexts = Readonly<
  Record<'cron' | 'zone' | 'kind' | 'for' | 'ahead' | 'path' | 'command' | 'within', string>
>

export const NEW_SCHEDULE: ScheduleTexts = {
  cron: '',
  zone: SCHEDULE_DEFAULTS.zone,
  kind: 'wake',
  for: SCHEDULE_DEFAULTS.for,
  ahead: '',
  path: '/',
  command: '',
  within: SCHEDULE_DEFAULTS.within,
}

/** The body of `addSchedule`. */
export function scheduleBody(texts: ScheduleTexts): object {
  const { cron, zone, kind, within, path, command } = texts
  const ahead = texts.ahead.trim()
  const action =
    kind === 'request'
      ? { kind, path: path.trim() }
      : kind === 'command'
        ? { kind, command: splitWords(command) }
        : { kind, for: texts.for.trim(), ...(ahead !== '' && { ahead }) }
  return { cron: cron.trim(), zone: zone.trim(), action, within: within.trim() }
}

/** The command that adds the same schedule. */
export function scheduleCommand(app: string, texts: ScheduleTexts): string {
  const { cron, zone, kind, within, path, ahead, command } = texts
  const words =
    kind === 'request'
      ? ['--request', path]
      : kind === 'command'
        ? []
        : ['--wake', '--for', texts.for, ...(ahead.trim() === '' ? [] : ['--wake-ahead', ahead])]
  return shellWords(
    ...['shadow', 'schedule', 'add', app, cron.trim() || '0 3 * * *'],
    ...(zone.trim() === SCHEDULE_DEFAULTS.zone ? [] : ['--tz', zone]),
    ...words,
    ...(within.trim() === SCHEDULE_DEFAULTS.within ? [] : ['--within', within]),
    ...(kind === 'command' ? ['--', ...splitWords(command)] : []),
  )
}
