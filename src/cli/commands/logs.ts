import type { Command } from 'commander'
import { type CallFlags, callsMaster, RAW } from '../command-options.ts'
import { readLog, showLine } from '../log-lines.ts'
import { orNearApps } from '../near-apps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & {
  readonly follow?: true
  readonly tail?: string
  readonly raw?: true
  readonly since?: string
  readonly until?: string
  readonly grep?: string
  readonly instance?: string
}

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('-f, --follow', 'keep printing new lines, also over sleeps, wakes and a lost connection')
    .option('-n, --tail <lines>', 'begin with this many last lines; default: 200')
    .option('--since <when>', 'only lines from then on: how long ago, such as 1h, or a time, such as 2026-11-29T14:00Z')
    .option('--until <when>', 'only lines before then')
    .option(
      '--grep <pattern>',
      'only lines that match this regular expression, in the syntax of RE2; (?i) ignores case',
    )
    .option('--instance <id>', 'only of this one of several instances, as shadow ps shows them')
    .option(...RAW)
    .action(async (name: string, flags: Flags) => {
      if (flags.raw) terminal.raw()
      const { master } = await findTarget(terminal, flags)
      await orNearApps(master, name, async () => {
        for await (const line of readLog(master, name, flags, () =>
          terminal.err('the connection was lost; trying again\n'),
        ))
          terminal.out(flags.json ? `${JSON.stringify(line)}\n` : showLine(terminal, line))
      })
    })
  callsMaster(command, 'shadow logs blog -f', "shadow logs blog --since 1h --grep 'error|warn'")
}
