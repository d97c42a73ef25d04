import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { probe } from './ready-http.ts'
import type { Listener } from './runtime/listening-sockets.ts'

const CHECK_EVERY_MS = 1_000
// An app may open a port for metrics or checks of its health long before that for visitors: the more time it may take to start,
// the more it has here.
const LEAST_MS = 3_000
const PART_OF_START = 1 / 6
// Each of them is asked once, whatever an app opens.
const MOST_PORTS = 10

type Options = {
  readonly task: TaskDefinition
  /** Where the container is. */
  readonly ip: string
  /** Where its processes listen; undefined if unknown. */
  readonly listening: () => Promise<readonly Listener[] | undefined>
  readonly clock: Clock
}

/** Where an app listens whose own port is closed, and what to do about it. */
export type WrongPort = { readonly what: string; readonly hint: string }

/**
 * Resolves when the app has served HTTP on other ports for a while and its own is closed, or its own has been open for that long to
 * its container alone. Rejects with the signal's reason.
 */
export async function untilWrongPort(options: Options, signal: AbortSignal): Promise<WrongPort> {
  const { task, listening, clock } = options
  const longMs = Math.max(LEAST_MS, toMs(task.startWithin) * PART_OF_START)
  let since: number | undefined
  for (;;) {
    await pause(clock, CHECK_EVERY_MS, signal)
    const found = await listening()
    if (sayWrongPort(task, found) === undefined) since = undefined
    else if (since === undefined) since = clock.now()
    else if (clock.now() - since >= longMs) {
      const wrong = sayWrongPort(task, isLocalOnly(task, found) ? found : await httpPorts(options, found, signal))
      if (wrong !== undefined) return wrong
      since = undefined // an SSH server, say, that is up before the app is
    }
  }
}

/** Undefined where the app's own port is open, or no other one is. */
export function sayWrongPort(task: TaskDefinition, found: readonly Listener[] | undefined): WrongPort | undefined {
  const { app, port } = task
  if (isOpen(task, found)) return undefined
  if (isLocalOnly(task, found))
    return {
      what: `it listens on 127.0.0.1:${port} only; it must listen on 0.0.0.0`,
      hint: `have it listen on 0.0.0.0:${port}; shadow logs ${app}`,
    }
  const [first, ...others] = othersOf(task, found)
  if (first === undefined) return undefined
  return {
    what: `it listens on ${[first, ...others].join(' and ')}, not ${port}`,
    hint: `shadow update ${app} --port ${first}, or have it listen on 0.0.0.0:${port} (PORT says so too)`,
  }
}

const isOpen = ({ port }: TaskDefinition, found: readonly Listener[] = []): boolean =>
  found.some(one => one.port === port && !one.isLoopback)

const isLocalOnly = ({ port }: TaskDefinition, found: readonly Listener[] = []): boolean =>
  found.some(one => one.port === port && one.isLoopback)

/** Other ports that are open to more than the container itself, each once, the lowest ones of too many. */
const othersOf = ({ port }: TaskDefinition, found: readonly Listener[] = []): readonly number[] =>
  [...new Set(found.filter(one => one.port !== port && !one.isLoopback).map(one => one.port))]
    .sort((a, b) => a - b)
    .slice(0, MOST_PORTS)

/** Those of the other ports that answer by HTTP. */
async function httpPorts(
  { task, ip }: Options,
  found: readonly Listener[] | undefined,
  signal: AbortSignal,
): Promise<readonly Listener[]> {
  const host = ip.includes(':') ? `[${ip}]` : ip
  const asked = othersOf(task, found).map(async port => {
    const options = { address: `${host}:${port}`, path: '/', hostname: undefined, proto: 'http' } as const
    return (await probe(options, signal)).isHttp ? [{ port, isLoopback: false }] : []
  })
  return (await Promise.all(asked)).flat()
}
