import { constants } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { Log, LogLevel } from '../lib/log.ts'
import { ignoresHangup } from './config.ts'
import type { Terminal } from './terminal.ts'

/** A daemon that runs. */
export type Running = {
  /** Takes no more requests, lets those in flight finish and ends; `sleep` puts the apps of this machine to sleep before. */
  stop(options: { sleep: boolean }): Promise<void>
}

type Given = { readonly clock: Clock; readonly log: Log }

/** Flags of a daemon as commander gives them. */
export type DaemonFlags = { readonly listen?: string; readonly data?: string; readonly json?: true }

/** Adds the options of a daemon that are more handily given as flags than in the environment. */
export function daemonOptions(command: Command): Command {
  return command
    .option('--listen <address>', 'where it listens: PORT, HOST:PORT or [IPV6]:PORT')
    .option('--data <folder>', 'where it keeps what must outlive it', folder => resolve(folder))
    .option('--json', 'print where it listens as JSON once it does; its log is JSON in any case')
    .addHelpText('after', '\nAll settings are read from the environment: shadow help settings')
}

type Daemon = { readonly name: string; readonly level: LogLevel; readonly terminal: Terminal }

/**
 * Runs a daemon until a signal ends it. SIGTERM comes from a supervisor that may start it again, SIGHUP from a terminal that
 * was closed: apps go on running. SIGINT comes from a person who wants it to be over: apps are put to sleep. A second signal
 * ends the process at once.
 */
export async function runDaemon(
  { name, level, terminal }: Daemon,
  start: (given: Given) => Promise<Running>,
): Promise<void> {
  const { openLog } = await import('../lib/log.ts')
  process.umask(0o077) // what no mode is given for (SQLite's journals, programs that we start) is for us alone too
  terminal.outlive()
  const log = openLog({ name, level })
  const asked = firstSignal(ignoresHangup(terminal.env) ? SIGNALS : [...SIGNALS, 'SIGHUP'])
  if (ignoresHangup(terminal.env)) process.on('SIGHUP', () => undefined)
  const running = await start({ clock: systemClock, log })
  const signal = await asked
  log.info('stopping', { signal })
  await running.stop({ sleep: signal === 'SIGINT' })
  log.info('stopped')
}

function firstSignal(signals: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    const onFirst = (signal: NodeJS.Signals): void => {
      for (const one of signals) process.off(one, onFirst).on(one, atOnce)
      resolve(signal)
    }
    for (const one of signals) process.on(one, onFirst)
  })
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM']
// A terminal that closes sends SIGHUP, often more than once: it is never the second signal of somebody who is impatient.
const atOnce = (signal: NodeJS.Signals): void => {
  if (signal !== 'SIGHUP') process.exit(128 + constants.signals[signal])
}
