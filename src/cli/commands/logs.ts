import type { Command } from 'commander'
import { type CallFlags, callsMaster, RAW } from '../command-options.ts'
import { readLog, showLine } from '../log-lines.ts'
import { orNearApps } from '../near-apps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly follow?: true; readonly tail?: string; readonly raw?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('-f, --follow', 'keep printing new lines')
    .option('--tail <lines>', 'begin with this many last lines')
    .option(...RAW)
    .action(async (name: string, flags: Flags) => {
      if (flags.raw) terminal.raw()
      const { master } = await findTarget(terminal, flags)
      await orNearApps(master, name, async () => {
        for await (const line of readLog(master, name, flags))
          terminal.out(flags.json ? `${JSON.stringify(line)}\n` : showLine(terminal, line))
      })
    })
  callsMaster(command, 'shadow logs blog -f', 'shadow logs blog --tail 100 --json')
}
