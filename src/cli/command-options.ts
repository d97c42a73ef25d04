import type { Command } from 'commander'
import { type Fault, isFailure, ShadowError } from '../lib/errors.ts'

/** Flags of every command that calls the master. */
export type CallFlags = { readonly json?: true; readonly context?: string }

/** The flag of commands that print what an app wrote. */
export const RAW = ['--raw', 'print control characters as the app wrote them, also on a terminal'] as const
export type RawFlags = { readonly raw?: true }

/** The flag of commands that destroy something. */
export const DRY_RUN = ['--dry-run', 'only say what would be removed'] as const
export type DryRunFlags = { readonly dryRun?: true }

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

/** Parses the value of a flag. If it is wrong, adds a fault that names the flag, and returns undefined. */
export function parsedFlag<T>(flag: string, parse: (text: string) => T, text: string, faults: Fault[]): T | undefined {
  try {
    return parse(text)
  } catch (error) {
    if (!isFailure(error, 'bad-input')) throw error
    faults.push({ field: flag, message: error.message })
    return undefined
  }
}

/**
 * Fails with `not-found` if a flag removes something by name that the app does not have; nothing is changed then. Flags such as
 * `--no-volume` describe the wanted state instead, so they may be repeated.
 */
export function mustBeThere(app: string, absent: readonly Fault[]): void {
  if (absent.length === 0) return
  throw new ShadowError('not-found', `${app} has not what is to be taken away; nothing was changed`, { faults: absent })
}
