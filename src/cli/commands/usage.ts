import { type Command, Option } from 'commander'
import { asCsv, type MonthUsage, rowsOf } from '../../api/usage-rows.ts'
import { ShadowError } from '../../lib/errors.ts'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly month?: string; readonly csv?: true; readonly by: 'app' | 'owner' }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('[app]', 'one app; left out: all')
    .addOption(new Option('--month <yyyy-mm>', 'a month of UTC, such as 2026-12; left out: this month'))
    .addOption(
      new Option('--by <what>', 'a row for each app, or for each owner').choices(['app', 'owner']).default('app'),
    )
    .option('--csv', 'print CSV, with all digits')
    .action(async (app: string | undefined, flags: Flags) => {
      if (flags.csv && flags.json) throw new ShadowError('bad-input', 'choose one of --csv and --json')
      const { master } = await findTarget(terminal, flags)
      const read = () =>
        master.call('getUsage', {
          query: { ...(app !== undefined && { app }), ...(flags.month !== undefined && { month: flags.month }) },
        })
      const usage = await read()
      // Also an app that was removed may have used something.
      if (app !== undefined && usage.items.length === 0)
        await orNearApps(master, app, () => master.call('getApp', { params: { app } }))
      if (flags.csv) return terminal.out(asCsv(usage))
      print(terminal, flags.json, usage, () => say(terminal, usage, flags.by))
    })
  callsMaster(
    command,
    'shadow usage',
    'shadow usage blog --month 2026-12',
    'shadow usage --by owner',
    'shadow usage --csv > usage.csv',
  )
}

const HEADER = ['awake', 'of always-on', 'memory', 'cpu', 'volume', 'backups', 'requests', 'sent']

function say(terminal: Terminal, usage: MonthUsage, by: 'app' | 'owner'): string {
  const { month, until } = usage
  if (usage.items.length === 0) return `no app has used anything in ${month}\n`
  const rows = rowsOf(usage.items, by).map(one => [
    one.name,
    sayMs(one.awakeSeconds * 1_000),
    one.alwaysOn === null ? '-' : percent(one.awakeSeconds, one.alwaysOn.awakeSeconds),
    `${rounded(one.memoryGiBSeconds / 3_600)} GiBh`,
    sayMs(one.cpuSeconds * 1_000),
    `${rounded(one.volumeGiBHours)} GiBh`,
    `${rounded(one.backupGiBHours)} GiBh`,
    String(one.requests),
    sayBytes(one.egressBytes),
    ...(usage.currency === null ? [] : [sayCost(one.cost), sayCost(one.alwaysOnCost)]),
  ])
  const costs = usage.currency === null ? [] : [`cost (${usage.currency})`, 'always-on']
  return `${table(terminal, [by, ...HEADER, ...costs], rows)}${month}, up to ${until}\n`
}

/** Three digits, and no more than people read: `0.00123`, `12.3`, `1234`. */
const rounded = (value: number): string => String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)))

const percent = (part: number, whole: number): string => (whole <= 0 ? '-' : `${rounded((100 * part) / whole)}%`)

/** Two digits, and of less than a cent what people read. */
const sayCost = (cost: number | null): string =>
  cost === null ? '-' : cost === 0 || cost >= 0.01 ? cost.toFixed(2) : String(Number(cost.toPrecision(2)))
