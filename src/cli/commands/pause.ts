import type { Command } from 'commander'
import { sayPause } from '../../model/pause.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { instanceOf } from '../find-instance.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { sayCut, sayDrain } from '../say-drain.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly why?: string }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('--why <text>', 'shown to whoever asks why it sleeps')
    .action(async (name: string, { why, ...flags }: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const before = await instanceOf(master, name).catch(() => undefined) // the pause reports the error
      const params = { app: name }
      const app = await orNearApps(master, name, () =>
        master.call('pauseApp', { params, body: { ...(why !== undefined && { why }) }, query: DIGESTS }),
      )
      if (flags.json !== true) terminal.err(sayDrain(before, 'stopMs'))
      const signal = new AbortController().signal // it ends when the app has stopped, however long its grace is
      const instance = await whileShown(terminal, `putting ${name} to sleep`, () =>
        master.call('sleepApp', { params, signal }),
      )
      print(
        terminal,
        flags.json,
        app,
        () => `${name} is ${instance.phase}, and ${app.paused && sayPause(app.paused)}\n`,
      )
      if (flags.json === true) return
      terminal.err(sayCut(instance))
      terminal.err(`nothing wakes it until: shadow resume ${name}\n`)
    })
  callsMaster(command, 'shadow pause blog', "shadow pause blog --why 'moved to the new site'")
}
