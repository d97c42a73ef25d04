import type { Command } from 'commander'
import { shortId } from '../../model/backup.ts'
import { sayMs } from '../../model/quantities.ts'
import { backupOf } from '../backup-list.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { print } from '../print.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly to?: string; readonly undo?: true; readonly dryRun?: true; readonly yes?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app that was backed up, also one that was removed')
    .argument('[backup]', 'the begin of the id of a backup; left out: the newest')
    .option(
      '--to <app>',
      'restore into the volume of another app; one that is not there is made like the app that was backed up',
    )
    .option('--undo', 'bring back what the volume had before its last restore')
    .option('--dry-run', 'only say what would be done, and whether there is room')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
The backup is restored beside the volume, its filesystem is checked, and it is compared with what was backed up. Only then the app is put to
sleep, and its volume gets these bytes in one step. What the volume had is kept as a snapshot, for a day (SHADOW_UNDO_KEPT): --undo brings it
back. A restore that fails changes nothing. The next request wakes the app.`,
    )
    .action(async (name: string, begin: string | undefined, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const { dryRun = false, to } = flags
      const target = to ?? name
      const backup = begin === undefined ? undefined : (await backupOf(master, name, begin)).id
      if (!dryRun)
        await confirm(
          terminal,
          flags.yes,
          `replaces all data of ${target}, and keeps what is there now for --undo`,
          target,
        )
      const body = { undo: flags.undo ?? false, dryRun, ...(backup && { backup }), ...(to && { to }) }
      const signal = new AbortController().signal
      const done = await whileShown(terminal, `restoring ${target}`, () =>
        master.call('restoreApp', { params: { app: name }, body, signal }),
      )
      print(terminal, flags.json, done, () => '')
      const what =
        done.backup === null
          ? 'the bytes from before its last restore'
          : `the backup ${shortId(done.backup)} of ${done.backup.at}`
      const undo =
        done.kept === null ? '' : `. What it had is the snapshot ${done.kept}; to undo: shadow restore ${target} --undo`
      terminal.err(
        dryRun
          ? `${target} would get ${what}; nothing was changed\n`
          : `${target} has ${what}, after ${sayMs(done.ms)}; it could not serve for ${sayMs(done.heldMs)}${undo}\n`,
      )
    })
  callsMaster(
    command,
    'shadow restore blog',
    'shadow restore blog 1a2b3c4d --to blog-test',
    'shadow restore blog --undo',
  )
}
