import type { Command } from 'commander'
import { sayBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { to: string }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .requiredOption('--to <node>', 'the node that gets the app and its volume')
    .action(async (name: string, flags: Flags) => {
      const { to } = flags
      const { master } = await findTarget(terminal, flags)
      const signal = new AbortController().signal // a large volume takes long; a command that is ended calls the move off
      if (flags.json !== true) terminal.err(`${name} sleeps while its volume is copied; its requests wait\n`)
      const done = await orNearApps(master, name, () =>
        master.call('moveApp', { params: { app: name }, body: { to }, signal }),
      )
      print(terminal, flags.json, done, () => {
        if (done.moved) return `${name} is on ${to}: ${sayBytes(done.onDiskBytes ?? 0)} moved from ${done.from}\n`
        return done.from === to
          ? `${name} is on ${to} already\n`
          : `${name} has no data yet, so there is nothing to move\n`
      })
    })
  callsMaster(command, 'shadow move blog --to node-2')
}
