import { setTimeout as wait } from 'node:timers/promises'
import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { AppEvent } from '../../model/timeline.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { asBars, eventRow, HEADER } from '../event-rows.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & {
  readonly number: string
  readonly kind?: string
  readonly follow?: true
  readonly wake?: string
}

const LOOKED_EVERY_MS = 2_000
/** In how many of the last wakes one is looked for by its id. */
const MOST_WAKES = 500

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('-n, --number <count>', 'the last so many', '50')
    .option('--kind <kinds>', 'only of these kinds, such as wake,crash')
    .option('-f, --follow', 'keep printing those that come')
    .option('--wake <id>', 'the steps of one wake as bars: last, or the id of an event, as --json shows it')
    .action(async (name: string, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      if (flags.wake !== undefined) {
        const event = await orNearApps(master, name, () => findWake(master, name, flags.wake ?? 'last'))
        return print(terminal, flags.json, event, () => asBars(terminal, name, event))
      }
      const { items, silent } = await orNearApps(master, name, () => read(master, name, flags))
      const events = items.toReversed()
      if (flags.follow) return follow(terminal, master, name, flags, events)
      print(terminal, flags.json, { events, silent }, () =>
        events.length === 0
          ? `nothing is known to have happened to ${name}\n`
          : table(terminal, HEADER, events.map(eventRow)),
      )
      if (silent.length > 0) terminal.err(`what happened on ${silent.join(', ')} is missing: no answer\n`)
    })
  command.addHelpText(
    'after',
    `
KIND: wake, sleep, crash, deploy, rollback, update, snapshot, backup, restore, move, problem. The newest is at the bottom. Nodes keep their
events for 30 days, at most 1,000 of each kind of an app.`,
  )
  callsMaster(
    command,
    'shadow events blog',
    'shadow events blog --kind wake,crash -n 20',
    'shadow events blog --wake last',
  )
}

const read = (master: MasterClient, app: string, { number, kind }: Pick<Flags, 'number' | 'kind'>) =>
  master.call('getTimeline', { params: { app }, query: { limit: number, ...(kind !== undefined && { kind }) } })

async function findWake(master: MasterClient, app: string, id: string): Promise<AppEvent> {
  const number = String(id === 'last' ? 1 : MOST_WAKES)
  const { items } = await read(master, app, { number, kind: 'wake' })
  const found = items.find(event => id === 'last' || event.id === id)
  if (found !== undefined) return found
  const what = id === 'last' ? 'no wake' : `no wake ${id}`
  throw new ShadowError('not-found', `${what} of ${app} is known`, { hint: `shadow events ${app} --kind wake` })
}

/** Prints the events, and those that come, until the process ends. */
async function follow(
  terminal: Terminal,
  master: MasterClient,
  app: string,
  flags: Flags,
  first: readonly AppEvent[],
): Promise<void> {
  let seen = new Set<string>()
  for (let events = first; ; ) {
    for (const event of events)
      if (!seen.has(event.id))
        terminal.out(flags.json ? `${JSON.stringify(event)}\n` : `${eventRow(event).filter(Boolean).join('  ')}\n`)
    seen = new Set(events.map(({ id }) => id))
    await wait(LOOKED_EVERY_MS)
    events = (await read(master, app, { ...flags, number: '200' })).items.toReversed()
  }
}
