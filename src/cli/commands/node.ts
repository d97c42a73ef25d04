import type { Command } from 'commander'
import { sayBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  const ls = command.command('ls').description('list nodes that announced themselves lately')
  callsMaster(ls, 'shadow node ls').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items } = await master.call('listNodes', {})
    const nodes = items.map(({ key: _, ...shown }) => shown)
    print(terminal, flags.json, { nodes }, () =>
      table(
        terminal,
        ['NODE', 'ADDRESS', 'AWAKE', 'CPUS', 'CPU', 'MEMORY', 'USED', 'UNTIL'],
        nodes.map(node => [
          node.name,
          node.address,
          String(node.awake),
          String(node.cpus),
          percent(node.cpuUtilization),
          sayBytes(node.memoryBytes),
          percent(node.memoryUtilization),
          node.until,
        ]),
      ),
    )
  })
}

const percent = (part: number): string => `${Math.round(part * 100)}%`
