import type { Command } from 'commander'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { instanceOf } from '../find-instance.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { whileShown } from '../spinner.ts'
import { saySteps } from '../steps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    await orNearApps(master, name, async () => {
      const before = await instanceOf(master, name)
      const signal = new AbortController().signal // the wake has its own deadline
      const instance = await whileShown(terminal, `waking ${name}`, () =>
        master.call('wakeApp', { params: { app: name }, signal }),
      )
      print(terminal, flags.json, instance, () => {
        if (before?.phase === 'awake' && before.since === instance.since)
          return `${name} is awake since ${instance.since}\n`
        return `${name} is awake on ${instance.node}${instance.lastWake ? `\n${saySteps(instance.lastWake)}` : ''}\n`
      })
    })
  })
  callsMaster(command, 'shadow wake blog')
}
