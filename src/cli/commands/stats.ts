import { setTimeout as wait } from 'node:timers/promises'
import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { ShadowError } from '../../lib/errors.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import { sayBytes } from '../../model/quantities.ts'
import { cpuPercent, type InstanceStats } from '../../model/stats.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { watch } from '../watch.ts'

type Flags = CallFlags & { readonly watch?: true }
type Row = InstanceStats & { readonly cpuPercent: number | null }
type Shown = { readonly instances: readonly Row[]; readonly silent: readonly string[] }

/** The use of a processor is the difference of two readings, so far apart. */
const BETWEEN_MS = 1_000
const EVERY_MS = 2_000

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('[names...]', 'the apps; left out: all')
    .option('--watch', 'show it again and again, until Ctrl-C')
    .action(async (names: readonly string[], flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      for (const name of names) await orNearApps(master, name, () => master.call('getApp', { params: { app: name } }))
      const reader = new StatsReader(master, names)
      await reader.read()
      await wait(BETWEEN_MS)
      const show = (shown: Shown): string => say(terminal, shown, names)
      if (flags.watch) await watch(terminal, { everyMs: EVERY_MS, json: flags.json, read: () => reader.read(), show })
      print(terminal, flags.json, await reader.read(), show)
    })
  callsMaster(command, 'shadow stats', 'shadow stats blog shop --watch')
}

/** Reads the stats, and remembers them for the next reading. */
class StatsReader {
  readonly #master: MasterClient
  readonly #names: readonly string[]
  #before = new Map<InstanceId, InstanceStats>()

  constructor(master: MasterClient, names: readonly string[]) {
    this.#master = master
    this.#names = names
  }

  async read(): Promise<Shown> {
    const { items, silent } = await this.#master.call('listStats', {})
    const wanted = items.filter(({ instance }) => this.#names.length === 0 || this.#names.includes(appOf(instance)))
    const instances = wanted
      .map(one => ({ ...one, cpuPercent: cpuPercent(one, this.#before.get(one.instance)) ?? null }))
      .toSorted((a, b) => a.instance.localeCompare(b.instance, 'en', { numeric: true }))
    this.#before = new Map(items.map(one => [one.instance, one]))
    return { instances, silent }
  }
}

function say(terminal: Terminal, { instances, silent }: Shown, names: readonly string[]): string {
  const notes = silent.map(node => `node ${node} does not answer; what runs there is not shown\n`).join('')
  if (instances.length === 0)
    return `${names.length === 0 ? 'no app is awake or frozen' : `${names.join(', ')}: asleep`}\n${notes}`
  const header = ['app', 'cpu', 'memory', 'of', 'net in / out', 'disk written', 'pids', 'volume', 'node']
  const rows = instances.map(one => [
    one.instance,
    one.cpuPercent === null ? '-' : `${one.cpuPercent.toFixed(1)}%`,
    sayBytes(one.memoryBytes),
    `${sayBytes(one.memoryLimitBytes)} (${percent(one.memoryBytes, one.memoryLimitBytes)})`,
    `${sayBytes(one.receivedBytes)} / ${sayBytes(one.sentBytes)}`,
    sayBytes(one.writtenBytes),
    `${one.pids} of ${one.pidsLimit}`,
    one.volume === undefined ? '-' : `${sayBytes(one.volume.usedBytes)} of ${sayBytes(one.volume.sizeBytes)}`,
    one.node,
  ])
  return `${table(terminal, header, rows)}${notes}`
}

function percent(part: number, whole: number): string {
  if (whole <= 0) throw new ShadowError('internal', 'a limit of nothing')
  return `${Math.round((100 * part) / whole)}%`
}
