import type { Command } from 'commander'
import { addUses } from '../change-uses.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('<companions...>', 'apps that it uses, in the order in which they are woken')
    .addHelpText(
      'after',
      `
The companions wake before the app and are ready when it starts. They stay awake while it is awake, and sleep after it. The app reaches them
by their names, such as blog-db:5432; no other app does. All of them run on one node. This makes a release of the app: an app that is awake is
switched to it.`,
    )
    .action(async (name: string, companions: readonly string[], flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await addUses(master, name, companions)
      print(terminal, flags.json, { app: app.name, uses: app.task.uses ?? [] }, () => '')
      terminal.err(`${app.name} uses ${(app.task.uses ?? []).join(', ')} from revision ${app.task.revision} on\n`)
    })
  callsMaster(command, 'shadow attach blog blog-db', 'shadow attach blog blog-db blog-cache')
}
