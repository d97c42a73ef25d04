import type { Command } from 'commander'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import { duration } from '../../model/quantities.ts'
import {
  SCHEDULE_DEFAULTS,
  type Schedule,
  type ScheduleAction,
  type ScheduleRun,
  sayAction,
} from '../../model/schedule.ts'
import { CommandExit } from '../command-exit.ts'
import { type CallFlags, callsMaster, parsedFlag } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type AddFlags = CallFlags & {
  readonly tz?: string
  readonly wake?: true
  readonly for?: string
  readonly wakeAhead?: string
  readonly request?: string
  readonly within?: string
}
/** The exit code of a run that failed. */
const RUN_FAILED = 1

type Shown = Schedule & { readonly next: string | null }

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('add')
      .description(
        'wake an app, send it a request, or run a command in its container, at the times of a cron expression',
      )
      .argument('<name>', 'the app')
      .argument('<cron>', 'minute, hour, day, month and weekday: "0 3 * * *"')
      .argument('[command...]', 'after --: run this in its container')
      .option('--tz <zone>', `the time zone of the times; default: ${SCHEDULE_DEFAULTS.zone}`)
      .option('--wake', 'wake it')
      .option('--for <time>', `with --wake: keep it awake for so long; default: ${SCHEDULE_DEFAULTS.for}`)
      .option('--wake-ahead <time>', 'wake it so long before each time, and keep it awake until --for after it')
      .option('--request <path>', 'send it a GET for this path')
      .option('--within <time>', `how long a run may take, 1h at most; default: ${SCHEDULE_DEFAULTS.within}`)
      .action(async (name: string, cron: string, words: string[], flags: AddFlags) => {
        const { master } = await findTarget(terminal, flags)
        const faults: Fault[] = []
        const action = actionOf(flags, words, faults)
        const within = flags.within === undefined ? undefined : parsedFlag('--within', duration, flags.within, faults)
        if (faults.length > 0 || action === undefined)
          throw new ShadowError('bad-input', 'the flags are wrong', { faults })
        const body = {
          cron,
          action: action.kind === 'command' ? { ...action, command: [...action.command] } : action,
          ...(flags.tz !== undefined && { zone: flags.tz }),
          ...(within !== undefined && { within }),
        }
        const added = await orNearApps(master, name, () => master.call('addSchedule', { params: { app: name }, body }))
        print(terminal, flags.json, added, () => `${added.id}\n`)
        terminal.err(`the first time is ${added.next ?? 'never'}\n`)
      }),
    `shadow schedule add blog '0 3 * * *' --tz Europe/Berlin --request /cron`,
    `shadow schedule add blog '0 8 * * 1-5' --tz Europe/Berlin --wake --for 10h`,
    `shadow schedule add blog '0 9 * * *' --wake-ahead 2m`,
    `shadow schedule add blog '0 4 * * 0' --within 30m -- node report.js`,
  )
  callsMaster(
    command
      .command('ls')
      .description('list the schedules of an app')
      .argument('<name>', 'the app')
      .action(async (name: string, flags: CallFlags) => {
        const items = await listed(terminal, name, flags)
        print(terminal, flags.json, { items }, () =>
          table(terminal, ['id', 'times', 'zone', 'what', 'next', 'last'], items.map(row)),
        )
      }),
    'shadow schedule ls blog',
  )
  callsMaster(
    command
      .command('runs')
      .description('show the last runs of the schedules of an app, with their outcomes')
      .argument('<name>', 'the app')
      .action(async (name: string, flags: CallFlags) => {
        const items = await listed(terminal, name, flags)
        const runs = items
          .flatMap(schedule => schedule.runs.map(run => ({ schedule: schedule.id, ...run })))
          .toSorted((a, b) => b.tick.localeCompare(a.tick))
        print(terminal, flags.json, { items: runs }, () => runs.map(sayRun).join('') || 'none has run yet\n')
      }),
    'shadow schedule runs blog',
  )
  callsMaster(
    command
      .command('run')
      .description('do now what a schedule does at its times, and wait until it is done')
      .argument('<name>', 'the app')
      .argument('<id>', 'its id, as shadow schedule ls shows it')
      .action(async (name: string, id: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const params = { app: name, schedule: id }
        const { signal } = new AbortController() // it takes as long as the schedule lets it
        const run = await orNearApps(master, name, () =>
          whileShown(terminal, `running ${id} of ${name}`, () => master.call('runSchedule', { params, signal })),
        )
        print(terminal, flags.json, run, () => sayRun({ ...run, schedule: id }))
        if (run.outcome !== 'done') throw new CommandExit(RUN_FAILED)
      }),
    'shadow schedule run blog 1f2e3d4c',
  )
  callsMaster(
    command
      .command('rm')
      .description('remove a schedule; a run under way goes on')
      .argument('<name>', 'the app')
      .argument('<id>', 'its id, as shadow schedule ls shows it')
      .action(async (name: string, id: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        await orNearApps(master, name, () => master.call('removeSchedule', { params: { app: name, schedule: id } }))
        print(terminal, flags.json, { app: name, removed: id }, () => '')
        terminal.err(`${id} is removed\n`)
      }),
    'shadow schedule rm blog 1f2e3d4c',
  )
}

async function listed(terminal: Terminal, name: string, flags: CallFlags): Promise<readonly Shown[]> {
  const { master } = await findTarget(terminal, flags)
  return (await orNearApps(master, name, () => master.call('listSchedules', { params: { app: name } }))).items
}

function actionOf(flags: AddFlags, words: readonly string[], faults: Fault[]): ScheduleAction | undefined {
  const wakes = flags.wake === true || flags.wakeAhead !== undefined
  const given = [wakes, flags.request !== undefined, words.length > 0].filter(Boolean).length
  if (given !== 1)
    faults.push({ field: 'what', message: 'give one of --wake, --wake-ahead, --request and a command after --' })
  if (flags.for !== undefined && !wakes) faults.push({ field: '--for', message: 'goes with --wake and --wake-ahead' })
  if (flags.request !== undefined) return { kind: 'request', path: flags.request }
  if (words.length > 0) return { kind: 'command', command: words }
  const time = (flag: string, text: string) => parsedFlag(flag, duration, text, faults)
  const forTime = time('--for', flags.for ?? SCHEDULE_DEFAULTS.for)
  const ahead = flags.wakeAhead === undefined ? undefined : time('--wake-ahead', flags.wakeAhead)
  return forTime && { kind: 'wake', for: forTime, ...(ahead !== undefined && { ahead }) }
}

const row = ({ id, cron, zone, action, next, runs }: Shown): readonly string[] => [
  id,
  cron,
  zone,
  sayAction(action),
  next ?? 'never',
  runs[0] === undefined ? '-' : `${runs[0].outcome} ${runs[0].tick}`,
]

function sayRun({
  schedule,
  tick,
  outcome,
  status,
  exitCode,
  byHand,
  detail,
  lastLines,
  missed,
}: ScheduleRun & { schedule: string }): string {
  const result = [
    status === undefined ? undefined : `status ${status}`,
    exitCode === undefined ? undefined : `exit code ${exitCode}`,
    detail,
    missed === undefined ? undefined : `${missed} earlier times were missed`,
  ].filter(one => one !== undefined)
  const lines =
    lastLines === undefined
      ? ''
      : lastLines
          .split('\n')
          .map(line => `    ${line}\n`)
          .join('')
  return `${tick} ${schedule} ${outcome}${byHand ? ' (by hand)' : ''}${result.length === 0 ? '' : `: ${result.join(', ')}`}\n${lines}`
}
