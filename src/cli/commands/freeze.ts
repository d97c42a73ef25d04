import type { Command } from 'commander'
import { stepsDown } from '../step-down.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  stepsDown(command, terminal, 'frozen', 'shadow freeze blog')
}
