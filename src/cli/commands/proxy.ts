import type { Command } from 'commander'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command.action(() => terminal.err('to come\n'))
}
