import type { Command } from 'commander'
import { removeUses } from '../change-uses.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('<companions...>', 'apps that it is to use no more')
    .action(async (name: string, companions: readonly string[], flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await removeUses(master, name, companions)
      const left = app.task.uses ?? []
      print(terminal, flags.json, { app: app.name, uses: left }, () => '')
      const uses = left.length === 0 ? 'no other app' : left.join(', ')
      terminal.err(`${app.name} uses ${uses} from revision ${app.task.revision} on\n`)
    })
  callsMaster(command, 'shadow detach blog blog-db')
}
