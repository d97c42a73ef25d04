import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { CommandExit } from '../command-exit.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { runSession } from '../exec/run-session.ts'
import { orNearApps } from '../near-apps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & {
  readonly tty?: boolean
  readonly user?: string
  readonly workdir?: string
  readonly env?: readonly string[]
  readonly instance?: string
  readonly stdin?: false
  readonly wake?: false
}

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('<command...>', 'the program and its arguments')
    .passThroughOptions()
    .option('-t, --tty', 'give the command a terminal; it gets one anyway if stdin and stdout are a terminal')
    .option('-T, --no-tty', 'give the command pipes, also on a terminal')
    .option('-i, --interactive', 'taken for the habit: the input is passed on in any case')
    .option('-n, --no-stdin', 'pass no input on')
    .option('-u, --user <user>', 'run it as this user, or USER:GROUP, of the container')
    .option('-w, --workdir <path>', 'run it in this folder')
    .option('-e, --env <name=value>', 'set a variable; may be repeated', collect)
    .option('--instance <id>', 'in this one of several instances, as shadow ps shows them')
    .option('--no-wake', 'fail if the app is asleep')
    .action(async (name: string, words: string[], flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const start = {
        kind: 'exec' as const,
        command: withoutDashes(words),
        env: { ...termOf(terminal, flags), ...variables(flags.env ?? []) },
        ...(flags.user !== undefined && { user: flags.user }),
        ...(flags.workdir !== undefined && { workdir: flags.workdir }),
        ...ttyOf(terminal, flags),
      }
      const { instance } = flags
      const code = await orNearApps(master, name, () =>
        runSession(master, terminal, {
          app: name,
          instance,
          wake: flags.wake ?? true,
          start,
          hasInput: flags.stdin ?? true,
        }),
      )
      if (code !== 0) throw new CommandExit(code)
    })
  callsMaster(command, 'shadow exec blog sh', 'cat notes.txt | shadow exec blog -- tee /data/notes.txt')
}

/** The command without the `--` before it, which options that are passed through leave there. */
export const withoutDashes = (words: readonly string[]): string[] => words.slice(words[0] === '--' ? 1 : 0)

const NO_SCREEN = { columns: 80, rows: 24 }

/** The terminal that the command gets: of the size of this one, if there is one. */
export function ttyOf({ screen }: Terminal, { tty }: { readonly tty?: boolean | undefined }) {
  const wanted = tty ?? screen !== undefined
  return wanted ? { tty: screen?.size() ?? NO_SCREEN } : {}
}

/** The kind of this terminal, for programs that draw on it. */
export const termOf = (terminal: Terminal, flags: { readonly tty?: boolean | undefined }): Record<string, string> =>
  ttyOf(terminal, flags).tty !== undefined && terminal.env['TERM'] ? { TERM: terminal.env['TERM'] } : {}

/** Variables as `NAME=VALUE`. */
export function variables(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map(text => {
      const at = text.indexOf('=')
      if (at < 1) throw new ShadowError('bad-input', `--env: "${text}" is not NAME=VALUE`)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}
