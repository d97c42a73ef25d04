import { constants } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { resolvesWithin } from '../lib/abort.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Log, LogLevel } from '../lib/log.ts'
import { ignoresHangup } from './config.ts'
import { allowsColours, type Terminal } from './terminal.ts'

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
    .option('--listen <address>', 'address to listen on: PORT, HOST:PORT or [IPV6]:PORT')
    .option('--data <folder>', 'data folder', folder => resolve(folder))
    .option('--json', 'print where it listens as JSON once it does')
    .addHelpText('after', '\nAll settings are read from the environment: shadow help settings')
}

type Daemon = {
  readonly name: string
  readonly level: LogLevel
  readonly terminal: Terminal
  /** Whether its log is JSON on a terminal too. */
  readonly json?: boolean
}

/**
 * Runs a daemon until a signal ends it. SIGTERM comes from a supervisor that may start it again, SIGHUP from a terminal that
 * was closed: apps go on running. SIGINT comes from a person who wants it to be over: apps are put to sleep. A second signal
 * ends the process at once.
 */
export async function runDaemon(
  { name, level, terminal, json = false }: Daemon,
  start: (given: Given) => Promise<Running>,
): Promise<void> {
  // Loaded here: 'shadow up --help' needs no log.
  const { openLog } = await import('../lib/log.ts')
  const { takeLastResort } = await import('../lib/last-resort.ts')
  process.umask(0o077) // what no mode is given for (SQLite's journals, programs that we start) is for us alone too
  terminal.outlive()
  const log = openLog({ name, level, json, colours: allowsColours(terminal.env) })
  const failed = Promise.withResolvers<'restart'>()
  takeLastResort({ log, restart: () => failed.resolve('restart') })
  const asked = firstSignal(ignoresHangup(terminal.env) ? SIGNALS : [...SIGNALS, 'SIGHUP'])
  if (ignoresHangup(terminal.env)) process.on('SIGHUP', () => undefined)
  const startedAt = performance.now()
  const running = await start({ clock: systemClock, log })
  const signal = await Promise.race([asked, failed.promise])
  if (signal === 'restart') return restart(running, { asked, ranMs: performance.now() - startedAt, log })
  log.info('stopping', { signal })
  await running.stop({ sleep: signal === 'SIGINT' })
  log.info('stopped')
}

/**
 * Starts this process anew, after an error that may have left its state inconsistent: what it serves is drained, apps go on running
 * and are taken over. It keeps its process id, so that whoever supervises it sees no end of it.
 */
async function restart(running: Running, { asked, ranMs, log }: Restart): Promise<void> {
  log.error('restarting after an unexpected error', { ranMs: Math.round(ranMs) })
  let isToEnd = false
  void asked.then(() => {
    isToEnd = true
  })
  const stopping = running.stop({ sleep: false }).catch(cause => log.error('not stopped in order', { cause }))
  await resolvesWithin(stopping, systemClock, STOPS_WITHIN_MS)
  // An error that comes with each start must not keep a processor busy.
  if (ranMs < RAN_WELL_MS) await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  if (isToEnd) return
  const { execPath, execArgv, argv, env } = process
  process.execve?.(execPath, [execPath, ...execArgv, '--', ...argv.slice(1)], env)
  throw new ShadowError('internal', 'an unexpected error ended this daemon, and this Node cannot start it again')
}

type Restart = { readonly asked: Promise<NodeJS.Signals>; readonly ranMs: number; readonly log: Log }

const STOPS_WITHIN_MS = 30_000
const RAN_WELL_MS = 60_000
const PAUSE_MS = 1_000

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
