import type { Command } from 'commander'
import { openBrowser } from '../browser.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly print?: true }

export function define(command: Command, terminal: Terminal): void {
  command.option('--print', 'only print the link').action(async (flags: Flags) => {
    const { master } = await findTarget(terminal, flags)
    const link = await master.call('createDashboardLink', {})
    print(terminal, flags.json, link, () => `${link.url}\n`)
    terminal.err(`the link signs its first user in, once, until ${link.until}\n`)
    if (flags.print !== true && flags.json !== true) await openBrowser(terminal, link.url)
  })
  callsMaster(command, 'shadow dashboard', 'shadow dashboard --print')
}
