import type { Command } from 'commander'
import { listsBackups } from '../backup-list.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  listsBackups(command, terminal, 'shadow backups blog')
}
