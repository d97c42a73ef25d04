import type { Command } from 'commander'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { DIGESTS, printableTask } from '../printable.ts'
import { findTarget } from '../target.ts'
import { changesOf } from '../task-changes.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const listed = await orNearApps(master, name, () =>
      master.call('listTasks', { params: { app: name }, query: DIGESTS }),
    )
    const items = listed.items.map(printableTask)
    print(terminal, flags.json, { tasks: items }, () =>
      table(
        terminal,
        ['REVISION', 'MADE', 'IMAGE', 'COMMAND', 'CHANGED'],
        items.map((task, at) => [
          String(task.revision),
          task.createdAt,
          task.image,
          task.command?.join(' ') ?? '-',
          changesOf(task, items[at + 1]), // the newest is first
        ]),
      ),
    )
  })
  callsMaster(command, 'shadow tasks blog')
}
