import type { Command } from 'commander'
import { CommandExit } from '../command-exit.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { runSession } from '../exec/run-session.ts'
import { orNearApps } from '../near-apps.ts'
import { findTarget } from '../target.ts'
import { paint, type Terminal } from '../terminal.ts'
import { termOf, ttyOf, variables, withoutDashes } from './exec.ts'

type Flags = CallFlags & {
  readonly tty?: boolean
  readonly user?: string
  readonly workdir?: string
  readonly env?: readonly string[]
}

const SHELL = ['sh']

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('[command...]', 'the program and its arguments; left out: sh')
    .passThroughOptions()
    .option('-t, --tty', 'give the command a terminal; it gets one anyway if stdin and stdout are a terminal')
    .option('-T, --no-tty', 'give the command pipes, also on a terminal')
    .option('-u, --user <user>', 'run it as this user, or USER:GROUP, of the image')
    .option('-w, --workdir <path>', 'run it in this folder')
    .option('-e, --env <name=value>', 'set a variable; may be repeated', collect)
    .action(async (name: string, given: string[], flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const words = withoutDashes(given)
      const start = {
        kind: 'console' as const,
        command: words.length > 0 ? words : SHELL,
        env: { ...termOf(terminal, flags), ...variables(flags.env ?? []) },
        ...(flags.user !== undefined && { user: flags.user }),
        ...(flags.workdir !== undefined && { workdir: flags.workdir }),
        ...ttyOf(terminal, flags),
      }
      await orNearApps(master, name, async () => {
        const { task } = await master.call('getApp', { params: { app: name }, query: { env: 'digests' } })
        if (task.volume !== undefined && terminal.interactive)
          terminal.err(
            paint(
              terminal,
              'dim',
              `A container of its own, without the volume at ${task.volume.path}: shadow exec ${name} has that.\n`,
            ),
          )
        const code = await runSession(master, terminal, { app: name, wake: false, start, hasInput: true })
        if (code !== 0) throw new CommandExit(code)
      })
    })
  callsMaster(command, 'shadow console blog', 'shadow console blog -- node scripts/report.js')
}
