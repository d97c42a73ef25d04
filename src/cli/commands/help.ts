import type { Command } from 'commander'
import { withExamples } from '../command-options.ts'
import { errorsTable, sayNone, settingsTables } from '../docs.ts'
import { print, table } from '../print.ts'
import type { Terminal } from '../terminal.ts'

type Flags = { readonly json?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('[topic...]', 'a command, settings or errors')
    .option('--json', 'print settings or errors as JSON')
    .action(async (topic: string[], flags: Flags) => {
      if (topic[0] === 'settings') await settings(terminal, flags)
      else if (topic[0] === 'errors') errors(terminal, flags)
      else await helpOf(command.parent, topic)
    })
  withExamples(command, 'shadow help register', 'shadow help settings', 'shadow help errors')
}

// An unknown command is left to the parser, whose error names similar commands.
async function helpOf(shadow: Command | null, topic: readonly string[]): Promise<void> {
  const known = topic.length === 0 || shadow?.commands.some(verb => verb.name() === topic[0])
  await shadow?.parseAsync(known ? [...topic, '--help'] : topic, { from: 'user' })
}

async function settings(terminal: Terminal, { json }: Flags): Promise<void> {
  const tables = await settingsTables()
  const shown = tables.map(({ of, rows }) => {
    const cells = rows.map(row => [`  ${row.env}`, row.default ?? sayNone(row), row.help])
    return `${of}\n${table(terminal, ['  SETTING', 'DEFAULT', 'WHAT IT SAYS'], cells)}`
  })
  print(terminal, json, tables, () => shown.join('\n'))
}

function errors(terminal: Terminal, { json }: Flags): void {
  print(terminal, json, errorsTable(), rows => {
    const cells = rows.map(({ code, status, exit, means }) => [code, String(status), String(exit), means])
    return table(terminal, ['CODE', 'HTTP', 'EXIT', 'WHAT IT MEANS'], cells)
  })
}
