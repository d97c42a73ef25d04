import type { Command } from 'commander'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { instanceOf } from '../find-instance.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { sayCut, sayDrain } from '../say-drain.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const signal = new AbortController().signal // it ends when the app has stopped, however long its grace is
    const before = await instanceOf(master, name).catch(() => undefined) // the sleep call below reports the error
    if (flags.json !== true) terminal.err(sayDrain(before, 'stopMs'))
    const instance = await orNearApps(master, name, () =>
      whileShown(terminal, `putting ${name} to sleep`, () =>
        master.call('sleepApp', { params: { app: name }, signal }),
      ),
    )
    print(terminal, flags.json, instance, () => `${name} is ${instance.phase}\n`)
    if (flags.json !== true) terminal.err(sayCut(instance))
  })
  callsMaster(command, 'shadow sleep blog')
}
