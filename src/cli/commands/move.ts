import type { Command } from 'commander'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { followMove } from '../follow-move.ts'
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
      const params = { app: name }
      const done = await orNearApps(master, name, () => {
        const moving = master.call('moveApp', { params, body: { to }, signal })
        if (flags.json === true) return moving
        const ask = async () => (await master.call('getMove', { params })).move
        return followMove(moving, ask, line => terminal.err(`${name}: ${line}\n`))
      })
      print(terminal, flags.json, done, () => {
        const held = done.heldMs === undefined ? '' : `; it was held for ${sayMs(done.heldMs)}`
        if (done.moved)
          return `${name} is on ${to}: ${sayBytes(done.onDiskBytes ?? 0)} moved from ${done.from}${held}\n`
        return done.from === to
          ? `${name} is on ${to} already\n`
          : `${name} has no data yet, so there is nothing to move\n`
      })
    })
  callsMaster(command, 'shadow move blog --to node-2')
}
