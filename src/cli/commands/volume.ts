import type { Command } from 'commander'
import type { Volume } from '../../model/app.ts'
import { sayBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  const ls = command.command('ls').description('list all volumes, also those that no app has')
  callsMaster(ls, 'shadow volume ls').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const volumes: Volume[] = []
    let after: string | undefined
    do {
      const page = await master.call('listVolumes', { query: { after } })
      volumes.push(...page.items)
      after = page.next ?? undefined
    } while (after !== undefined)
    print(terminal, flags.json, { volumes }, () =>
      table(
        terminal,
        ['VOLUME', 'SIZE', 'USED', 'ON DISK', 'DRIVER', 'APP', 'NODE', 'MADE'],
        volumes.map(({ id, size, driver, use, app, lease, lost, createdAt }) => [
          id,
          size,
          use === undefined
            ? '-'
            : `${sayBytes(use.usedBytes)} (${Math.round((100 * use.usedBytes) / use.sizeBytes)} %)`,
          use === undefined ? '-' : sayBytes(use.onDiskBytes),
          driver ?? 'loop',
          app ?? '-',
          lost === undefined ? (lease?.node ?? '-') : `lost with ${lost.node}`,
          createdAt,
        ]),
      ),
    )
  })

  const rm = command.command('rm').description('delete a volume that no app has, and its data').argument('<volume>')
  rm.option('--yes', 'do not ask')
  callsMaster(rm, 'shadow volume rm blog').action(async (volume: string, flags: CallFlags & { yes?: true }) => {
    const { master } = await findTarget(terminal, flags)
    await master.call('getVolume', { params: { volume } })
    await confirm(terminal, flags.yes, `deletes all data of the volume ${volume}`, volume)
    await master.call('removeVolume', { params: { volume }, signal: new AbortController().signal })
    print(terminal, flags.json, { removed: volume }, () => '')
    terminal.err(`volume ${volume} is deleted\n`)
  })
}
