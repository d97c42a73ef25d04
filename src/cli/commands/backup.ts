import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { isFailure } from '../../lib/errors.ts'
import { type Backup, shortId } from '../../model/backup.ts'
import { type BackupPolicy, sayPolicy } from '../../model/backup-policy.ts'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import { backupOf, listsBackups } from '../backup-list.ts'
import { hasPolicyFlags, type PolicyFlags, policyOptions, withPolicyFlags } from '../backup-policy-flags.ts'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command.enablePositionalOptions().argument('<name>', 'the app')
  callsMaster(command, 'shadow backup blog').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const signal = new AbortController().signal // a first backup takes long
    const { backup } = await orNearApps(master, name, () =>
      whileShown(terminal, `backing ${name} up`, () => master.call('backUpApp', { params: { app: name }, signal })),
    )
    print(terminal, flags.json, backup, () => `${shortId(backup)}\n`)
    const { dataBytes, addedBytes, ms } = backup
    terminal.err(
      `${name} is backed up in ${sayMs(ms)}: ${sayBytes(dataBytes)} of data, of which ${sayBytes(addedBytes)} were new to the store\n`,
    )
  })

  listsBackups(command.command('ls').description('list the backups of an app'), terminal, 'shadow backup ls blog')

  const verify = command.command('verify').description('restore the newest backup to a temporary file, and check it')
  callsMaster(verify.argument('<name>', 'the app'), 'shadow backup verify blog').action(
    async (name: string, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const signal = new AbortController().signal
      const { backup, ms } = await whileShown(terminal, `restoring a backup of ${name} for a test`, () =>
        master.call('verifyBackup', { params: { app: name }, signal }),
      )
      print(terminal, flags.json, { backup: backup.id, ms }, () => '')
      terminal.err(
        `the backup ${shortId(backup)} of ${name} can be restored: done in ${sayMs(ms)}, checked and compared\n`,
      )
    },
  )

  const policy = command
    .command('policy')
    .description('show or set when an app is backed up by itself, and which backups are kept')
    .argument('<name>', 'the app')
  callsMaster(
    policyOptions(policy).addHelpText('after', POLICY_HELP),
    'shadow backup policy blog',
    'shadow backup policy blog --every 1d --keep-daily 7 --keep-weekly 4 --before-deploy',
    'shadow backup policy blog --clear',
  ).action(async (name: string, flags: CallFlags & PolicyFlags) => {
    const { master } = await findTarget(terminal, flags)
    const now = await policyOf(master, name)
    const wanted = hasPolicyFlags(flags) ? withPolicyFlags(flags, now) : undefined
    const set =
      wanted === undefined
        ? now
        : (await master.call('setBackupPolicy', { params: { app: name }, body: { policy: wanted } })).policy
    print(terminal, flags.json, { app: name, policy: set }, () => `${sayPolicy(set)}\n`)
  })

  const prune = command.command('prune').description('delete the backups that the policy of an app does not keep')
  callsMaster(prune.argument('<name>', 'the app'), 'shadow backup prune blog').action(
    async (name: string, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const signal = new AbortController().signal
      const done = await whileShown(terminal, `pruning the backups of ${name}`, () =>
        master.call('pruneBackups', { params: { app: name }, signal }),
      )
      print(terminal, flags.json, done, () => '')
      terminal.err(`${done.removed} backups of ${name} are deleted, and ${sayBytes(done.freedBytes)} are free\n`)
    },
  )

  type RmFlags = CallFlags & DryRunFlags & { readonly yes?: true; readonly all?: true }
  const rm = command
    .command('rm')
    .description('delete a backup, or all backups of an app with their key')
    .argument('<name>', 'the app, also one that was removed')
    .argument('[backup]', 'the begin of its id')
    .option('--all', 'delete all backups and their key')
    .option(...DRY_RUN)
    .option('--yes', 'do not ask')
  callsMaster(rm, 'shadow backup rm blog 1a2b3c4d', 'shadow backup rm blog --all').action(
    async (name: string, id: string | undefined, flags: RmFlags) => {
      const { master } = await findTarget(terminal, flags)
      const signal = new AbortController().signal
      if (flags.all) {
        const { items, storedBytes } = await master.call('listBackups', { params: { app: name } })
        const what = `deletes all ${items.length} backups of ${name}, ${sayBytes(storedBytes)}, and their key`
        if (flags.dryRun)
          return wouldRemove(items, `all backups of ${name} (${sayBytes(storedBytes)}) and their key`, flags)
        await confirm(terminal, flags.yes, what, name)
        await master.call('removeBackups', { params: { app: name }, signal })
        print(terminal, flags.json, { removed: items.map(one => one.id) }, () => '')
        return terminal.err(`the backups of ${name} are deleted\n`)
      }
      const backup = await backupOf(master, name, id ?? '')
      if (flags.dryRun) return wouldRemove([backup], `the backup ${shortId(backup)} of ${backup.at}`, flags)
      await confirm(terminal, flags.yes, `deletes the backup of ${name} of ${backup.at}`, shortId(backup))
      await master.call('removeBackup', { params: { app: name, backup: backup.id }, signal })
      print(terminal, flags.json, { removed: [backup.id] }, () => '')
      terminal.err(`the backup ${shortId(backup)} of ${name} is deleted; its space is free after the next pruning\n`)
    },
  )

  function wouldRemove(backups: readonly Backup[], what: string, flags: CallFlags): void {
    print(terminal, flags.json, { dryRun: true, removes: backups.map(({ id }) => id) }, () => '')
    terminal.err(`would delete ${what}; nothing was done\n`)
  }

  const key = command.command('key').description('show the key of the backups of an app, for restic without Shadow')
  callsMaster(key.argument('<name>', 'the app, also one that was removed'), 'shadow backup key blog').action(
    async (name: string, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const { password, repository } = await master.call('getBackupKey', { params: { app: name } })
      print(terminal, flags.json, { password, repository }, () => `${password}\n`)
      terminal.err(
        `whoever has this key and the store can read all data of ${name}: keep it apart from the store\n` +
          `with restic: RESTIC_PASSWORD=… restic -r ${repository} restore latest --target . --sparse\n`,
      )
    },
  )
}

const POLICY_HELP = `
Without flags it shows the policy. A change restarts nothing. Backups by the clock are spread over the period, by the name of the app. One that was
missed, since no master or no node was there, is made up for. The rules of --keep are restic's: of each of the last N days, weeks, … one backup is
kept, and the others are deleted once a day. Backups that a person has asked for are always kept.`

/** The policy of the app; null: it has none. */
async function policyOf(master: MasterClient, app: string): Promise<BackupPolicy | null> {
  try {
    return (await master.call('listBackups', { params: { app } })).policy
  } catch (error) {
    if (!isFailure(error, 'not-found')) throw error
    await orNearApps(master, app, () => master.call('getApp', { params: { app }, query: DIGESTS }))
    return null
  }
}
