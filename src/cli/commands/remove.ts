import type { Command } from 'commander'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & DryRunFlags & { readonly withVolume?: true; readonly yes?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('--with-volume', 'delete its volume and all data in it too')
    .option(...DRY_RUN)
    .option('--yes', 'do not ask')
    .action(async (name: string, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () => master.call('getApp', { params: { app: name }, query: DIGESTS }))
      const { volume } = app.task
      const withVolume = flags.withVolume === true && volume !== undefined
      const volumeKept = volume !== undefined && !withVolume ? volume.id : null
      const kept = volumeKept === null ? '' : `; its volume ${volumeKept} is kept`
      if (flags.dryRun === true) {
        const removes = { app: name, domains: app.domains, volume: withVolume ? volume.id : null }
        print(terminal, flags.json, { dryRun: true, removes, volumeKept }, () => '')
        const data = withVolume ? `, and all data of its volume ${volume.id}` : ''
        terminal.err(
          `would remove ${name} (${app.domains.join(', ') || 'no hostname'})${data}${kept}; nothing was done\n`,
        )
        return
      }
      await confirm(terminal, flags.yes, `removes ${name}${withVolume ? ' and all data of its volume' : ''}`, name)
      const query = { withVolume: withVolume ? 'true' : 'false' } as const
      const signal = new AbortController().signal // it ends when the app has stopped, however long its grace is
      await master.call('removeApp', { params: { app: name }, query, signal })
      print(terminal, flags.json, { removed: name, volumeKept }, () => '')
      terminal.err(`${name} is removed${kept}\n`)
    })
  callsMaster(command, 'shadow remove blog --with-volume')
}
