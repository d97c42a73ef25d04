import type { Command } from 'commander'
import { type SleepTier, sayPhase } from '../model/instance.ts'
import { type CallFlags, callsMaster } from './command-options.ts'
import { orNearApps } from './near-apps.ts'
import { print } from './print.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Defines a command that puts an app to a tier between awake and asleep, or asleep and parked. */
export function stepsDown(command: Command, terminal: Terminal, to: SleepTier, example: string): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const signal = new AbortController().signal // memory takes as long to be moved as there is of it
    const instance = await orNearApps(master, name, () =>
      master.call('sleepApp', { params: { app: name }, query: { to }, signal }),
    )
    print(terminal, flags.json, instance, () => `${name} is ${sayPhase(instance)} on ${instance.node}\n`)
  })
  callsMaster(command, example)
}
