import type { Command } from 'commander'
import type { Volume } from '../../model/app.ts'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { defineGrow, defineSnapshots } from '../volume-snapshots.ts'
import { showOrWatch, WATCH, type WatchFlags } from '../watch.ts'

export function define(command: Command, terminal: Terminal): void {
  const ls = command.command('ls').description('list all volumes, also those that no app has')
  callsMaster(ls.option(...WATCH), 'shadow volume ls').action(async (flags: CallFlags & WatchFlags) => {
    const { master } = await findTarget(terminal, flags)
    const read = async (): Promise<{ volumes: readonly Volume[] }> => {
      const volumes: Volume[] = []
      let after: string | undefined
      do {
        const page = await master.call('listVolumes', { query: { after } })
        volumes.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined)
      return { volumes }
    }
    const show = ({ volumes }: { volumes: readonly Volume[] }): string =>
      table(
        terminal,
        [
          'VOLUME',
          'SIZE',
          'USED',
          'ON DISK',
          'DRIVER',
          'APP',
          'NODE',
          'SNAPSHOTS',
          'NEWEST',
          'UNDO',
          'BACKUP',
          'VERIFIED',
          'MADE',
        ],
        volumes.map(({ id, size, driver, use, app, lease, zone, lost, snapshots, backups, createdAt }) => [
          id,
          size,
          use === undefined
            ? '-'
            : `${sayBytes(use.usedBytes)} (${Math.round((100 * use.usedBytes) / use.sizeBytes)} %)`,
          use === undefined ? '-' : sayBytes(use.onDiskBytes),
          driver ?? 'loop',
          app ?? '-',
          lost === undefined ? (lease?.node ?? zone ?? '-') : `lost with ${lost.node}`,
          snapshots === undefined ? '-' : `${snapshots.count} (${sayBytes(snapshots.bytes)})`,
          snapshots === undefined ? '-' : `${sayMs(terminal.now() - Date.parse(snapshots.newestAt))} ago`,
          snapshots?.undoAt === undefined
            ? '-'
            : `${sayBytes(snapshots.undoBytes ?? 0)}, ${sayMs(terminal.now() - Date.parse(snapshots.undoAt))} ago`,
          backups?.newestAt === undefined
            ? '-'
            : `${sayMs(terminal.now() - Date.parse(backups.newestAt))} ago${backups.isFailing ? ', failing' : ''}`,
          backups?.verifiedAt === undefined ? '-' : `${sayMs(terminal.now() - Date.parse(backups.verifiedAt))} ago`,
          createdAt,
        ]),
      )
    await showOrWatch(terminal, flags, { read, show })
  })

  defineSnapshots(command, terminal)
  defineGrow(command, terminal)

  const rm = command
    .command('rm')
    .description('delete a volume that no app has, with its data and its snapshots')
    .argument('<volume>')
  rm.option('--yes', 'do not ask')
  callsMaster(rm, 'shadow volume rm blog').action(async (volume: string, flags: CallFlags & { yes?: true }) => {
    const { master } = await findTarget(terminal, flags)
    await master.call('getVolume', { params: { volume } })
    await confirm(terminal, flags.yes, `deletes all data of the volume ${volume}, and its snapshots`, volume)
    await master.call('removeVolume', { params: { volume }, signal: new AbortController().signal })
    print(terminal, flags.json, { removed: volume }, () => '')
    terminal.err(`volume ${volume} is deleted\n`)
  })
}
