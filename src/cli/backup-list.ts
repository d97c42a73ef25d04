import type { Command } from 'commander'
import type { z } from 'zod'
import type { BackupsSchema } from '../api/backup-schemas.ts'
import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import { type Backup, sayRun, shortId } from '../model/backup.ts'
import { sayPolicy } from '../model/backup-policy.ts'
import { sayBytes, sayMs } from '../model/quantities.ts'
import { type CallFlags, callsMaster } from './command-options.ts'
import { print, table } from './print.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

type Backups = z.output<typeof BackupsSchema>

/** Adds the argument and the action of the commands that list the backups of an app. */
export function listsBackups(command: Command, terminal: Terminal, example: string): void {
  command.argument('<name>', 'the app, also one that was removed')
  callsMaster(command, example).action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const backups = await master.call('listBackups', { params: { app: name } })
    print(terminal, flags.json, backups, () => tableOf(terminal, backups))
    for (const line of aside(backups, terminal.now())) terminal.err(`${line}\n`)
  })
}

const tableOf = (terminal: Terminal, { items, verified }: Backups): string =>
  table(
    terminal,
    ['BACKUP', 'AGE', 'SIZE', 'DATA', 'ADDED', 'WHY', 'NODE', 'TESTED', 'MADE'],
    items.map(backup => [
      shortId(backup),
      sayAge(backup.at, terminal.now()),
      sayBytes(backup.sizeBytes),
      sayBytes(backup.dataBytes),
      sayBytes(backup.addedBytes),
      backup.why,
      backup.node,
      verified?.backup === backup.id ? sayAge(verified.at, terminal.now()) : '-',
      backup.at,
    ]),
  )

/** What else is to be known. */
function aside({ volume, policy, run, failure, storedBytes }: Backups, now: number): string[] {
  return [
    `${volume} is ${sayPolicy(policy)}`,
    `all of them take ${sayBytes(storedBytes)} in the store`,
    ...(run === null ? [] : [`${volume} is being ${sayRun(run.kind)} on ${run.node} since ${sayAge(run.since, now)}`]),
    ...(failure === null
      ? []
      : [`the last ${failure.kind} failed ${sayAge(failure.at, now)} ago: ${failure.problem.detail}`]),
  ]
}

const sayAge = (at: string, now: number): string => sayMs(Math.max(0, now - Date.parse(at)))

/** The whole id of the backup whose id begins so. */
export async function backupOf(master: MasterClient, app: string, begin: string): Promise<Backup> {
  const { items } = await master.call('listBackups', { params: { app } })
  const found = items.filter(({ id }) => id.startsWith(begin))
  const [one] = found
  if (one !== undefined && found.length === 1 && begin !== '') return one
  const what = found.length === 0 ? 'begins so' : `is meant: ${found.length} begin so`
  throw new ShadowError(
    found.length === 0 ? 'not-found' : 'bad-input',
    `"${begin}": no single backup of ${app} ${what}`,
    {
      hint: `shadow backup ls ${app}`,
    },
  )
}
