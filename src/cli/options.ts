import type { Command } from 'commander'

/** What every command that calls the master takes. */
export type CallFlags = { readonly json?: true; readonly context?: string }

/** Adds the options of a command that calls the master, and its example. */
export function callsMaster(command: Command, ...examples: readonly string[]): Command {
  return withExamples(
    command
      .option('--json', 'print JSON; an error is a problem document on stderr')
      .option('--context <name>', 'call the master of this context'),
    ...examples,
  )
}

/** Ends the help with examples. */
export function withExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${examples.map(example => `  ${example}\n`).join('')}`)
}

/** For an option that may be given more than once. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]
