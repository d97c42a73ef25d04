import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'
import { untilWritten } from './ready-line.ts'

// Late by 5 % at most, at a sixth of what asking every millisecond costs over a slow start.
const GAP_OF_ELAPSED = 0.05
const LEAST_GAP_MS = 1
const CONNECT_WITHIN_MS = 1_000
const ANSWER_WITHIN_MS = 10_000

export type ReadyOptions = {
  task: TaskDefinition
  /** `ip:port` */
  address: string
  /** What the app writes, from its start on. */
  output: (signal: AbortSignal) => AsyncIterable<LogLine>
}

/** Resolves as soon as the app is ready in the way its definition says; rejects with the signal's reason. */
export async function untilReady({ task, address, output }: ReadyOptions, signal: AbortSignal): Promise<void> {
  if (task.ready.kind === 'log') await untilWritten(task, task.ready.line, output, signal)
  const { ready } = task
  // A line in the log is a promise: the port must be open too, or the first request would be refused.
  await untilTrue(
    ready.kind === 'http' ? () => answersWell(address, ready.path, signal) : () => opens(address, signal),
    signal,
  )
}

/** Whether the address takes a connection. */
function opens(address: string, signal: AbortSignal): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ ...hostAndPort(address), signal, timeout: CONNECT_WITHIN_MS })
    const end = (open: boolean) => (): void => {
      socket.destroy()
      resolve(open)
    }
    socket.on('connect', end(true)).on('error', end(false)).on('timeout', end(false))
  })
}

async function untilTrue(look: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  const from = performance.now()
  for (;;) {
    signal.throwIfAborted()
    if (await look()) return
    const gap = Math.max(LEAST_GAP_MS, (performance.now() - from) * GAP_OF_ELAPSED)
    await sleep(gap, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

function answersWell(address: string, path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise(resolve => {
    const asked = request({ ...hostAndPort(address), path, agent: false, signal, timeout: ANSWER_WITHIN_MS })
    asked
      .on('response', response => {
        response.destroy()
        const status = response.statusCode ?? 0
        resolve(status >= 200 && status < 400)
      })
      .on('error', () => resolve(false)) // not there yet
      .on('timeout', () => asked.destroy())
      .end()
  })
}

function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
}
