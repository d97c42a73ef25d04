import { constants } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { resolvesWithin } from '../lib/abort.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Log, LogLevel } from '../lib/log.ts'
import { ignoresHangup } from './config.ts'
import { allowsColours, type Terminal } from './terminal.ts'

/** A running daemon. */
export type Running = {
  /** Refuses new requests, lets those in flight finish, and ends. With `sleep` the apps of this machine are put to sleep first. */
  stop(options: { sleep: boolean }): Promise<void>
}

type Given = { readonly clock: Clock; readonly log: Log }

/** Flags of a daemon as commander gives them. */
export type DaemonFlags = { readonly listen?: string; readonly data?: string; readonly json?: true }

/** Adds the few settings of a daemon that can also be given as flags. */
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
 * Runs a daemon until a signal ends it. After SIGTERM (a supervisor, which may start the daemon again) and SIGHUP (a terminal that
 * was closed) apps go on running. After SIGINT (a person who stops everything) apps are put to sleep. A second signal ends the
 * process at once.
 */
export async function runDaemon(
  { name, level, terminal, json = false }: Daemon,
  start: (given: Given) => Promise<Running>,
): Promise<void> {
  // Loaded here: 'shadow up --help' needs no log.
  const { openLog } = await import('../lib/log.ts')
  const { handleUncaughtErrors } = await import('../lib/uncaught-errors.ts')
  process.umask(0o077) // also files that get no explicit mode (SQLite's journals, files of child processes) are private
  terminal.outlive()
  const log = openLog({ name, level, json, colours: allowsColours(terminal.env) })
  const failed = Promise.withResolvers<'restart'>()
  handleUncaughtErrors({ log, restart: () => failed.resolve('restart') })
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
 * Replaces this process by a new one after an error that may have left its state inconsistent. Requests are drained; apps go on
 * running and the new process takes them over. The process id stays the same, so that a supervisor sees no exit.
 */
async function restart(running: Running, { asked, ranMs, log }: Restart): Promise<void> {
  log.error('restarting after an unexpected error', { ranMs: Math.round(ranMs) })
  let isToEnd = false
  void asked.then(() => {
    isToEnd = true
  })
  const stopping = running.stop({ sleep: false }).catch(cause => log.error('not stopped in order', { cause }))
  await resolvesWithin(stopping, systemClock, STOPS_WITHIN_MS)
  // An error at every start must not become a busy loop.
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
// A terminal that closes may send SIGHUP several times, so a second SIGHUP does not mean "end at once".
const atOnce = (signal: NodeJS.Signals): void => {
  if (signal !== 'SIGHUP') process.exit(128 + constants.signals[signal])
}
