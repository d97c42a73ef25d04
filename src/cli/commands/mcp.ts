import type { Command } from 'commander'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

/** A command in a sandbox, and the start of one, may take that long. */
const CALL_WITHIN_MS = 120_000

export function define(command: Command, terminal: Terminal): void {
  command
    .option('--template <name>', 'only sandboxes of this template')
    .action(async ({ template, ...flags }: CallFlags & { readonly template?: string }) => {
      const { master } = await findTarget(terminal, flags, CALL_WITHIN_MS)
      // The protocol is a large package, which no other command needs.
      const { serveMcp } = await import('../mcp/serve.ts')
      await serveMcp(terminal, master, template)
    })
  callsMaster(command, 'shadow mcp --template sandbox')
}
