import { connect } from 'node:net'
import { endpoint } from '../lib/http/endpoint.ts'
import type { LogLine } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'
import { untilHealthy } from './ready-health.ts'
import { probe } from './ready-http.ts'
import { untilWritten } from './ready-line.ts'
import type { Health } from './runtime/runtime.ts'

// Late by 5 % at most, at a sixth of what asking every millisecond costs over a slow start.
const GAP_OF_ELAPSED = 0.05
const LEAST_GAP_MS = 1
const CONNECT_WITHIN_MS = 1_000

export type ReadyOptions = {
  task: TaskDefinition
  /** `ip:port` */
  address: string
  /** What the app writes, from its start on. */
  output: (signal: AbortSignal) => AsyncIterable<LogLine>
  /** What the check of its image finds: see `Runtime`. */
  health: () => Promise<Health | undefined>
  /** A hostname of the app, and by what visitors come: to ask it as they do. */
  hostname?: string | undefined
  proto?: 'http' | 'https' | undefined
  /** Told of each answer that was not good. */
  onAnswer?: ((said: string) => void) | undefined
}

/** Resolves as soon as the app is ready in the way its definition says; rejects with the signal's reason. */
export async function untilReady(options: ReadyOptions, signal: AbortSignal): Promise<void> {
  const { task, address, output, health, onAnswer } = options
  if (task.ready.kind === 'started') return signal.throwIfAborted()
  if (task.ready.kind === 'log') await untilWritten(task, task.ready.line, output, signal)
  if (task.ready.kind === 'healthcheck') await untilHealthy(task.app, health, onAnswer, signal)
  const { ready } = task
  // A line in the log is a promise, and so is a check inside: the port must be open too, or the first request would be refused.
  const from = performance.now()
  await untilTrue(left => tried(address, left), from, signal)
  // A request costs several times as much as a try to connect, so there is none before the port is open.
  if (ready.kind === 'http') await untilTrue(answersWell(options, ready.path, signal), from, signal)
}

/** Whether the address takes a connection. */
export function opens(address: string, signal: AbortSignal): Promise<boolean> {
  return signal.aborted ? Promise.resolve(false) : untilLeft(signal, left => tried(address, left))
}

/** One try to connect. */
function tried(address: string, left: Leaving): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ ...endpoint(address), timeout: CONNECT_WITHIN_MS })
    const end = (open: boolean) => (): void => {
      left.leave = undefined
      socket.destroy()
      resolve(open)
    }
    left.leave = end(false)
    socket.on('connect', end(true)).on('error', end(false)).on('timeout', end(false))
  })
}

/** What ends the try that is under way. */
type Leaving = { leave: (() => void) | undefined }

/** Listens to the signal once for all tries: in the options of each of them, it doubles what a try costs this process. */
async function untilLeft<T>(signal: AbortSignal, work: (left: Leaving) => Promise<T>): Promise<T> {
  const left: Leaving = { leave: undefined }
  const aborted = (): void => left.leave?.()
  signal.addEventListener('abort', aborted, { once: true })
  try {
    return await work(left)
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}

/** `from`: since when it is waited for. */
function untilTrue(check: (left: Leaving) => Promise<boolean>, from: number, signal: AbortSignal): Promise<void> {
  return untilLeft(signal, async left => {
    for (;;) {
      signal.throwIfAborted()
      if (await check(left)) return
      signal.throwIfAborted()
      await gapAfter(performance.now() - from, left)
    }
  })
}

function gapAfter(elapsedMs: number, left: Leaving): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, Math.max(LEAST_GAP_MS, elapsedMs * GAP_OF_ELAPSED))
    left.leave = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

/** Asks by HTTP as visitors come; where the answer is not good, by the other scheme the next time. */
function answersWell({ address, hostname, proto = 'http', onAnswer }: ReadyOptions, path: string, signal: AbortSignal) {
  const [usual, other] = proto === 'http' ? (['http', 'https'] as const) : (['https', 'http'] as const)
  let next: 'http' | 'https' = usual
  return async (): Promise<boolean> => {
    const { isGood, said } = await probe({ address, path, hostname, proto: next }, signal)
    if (said !== undefined) {
      if (!isGood) onAnswer?.(hostname === undefined ? said : `${said}, asked as ${next}://${hostname}${path}`)
      next = next === usual ? other : usual
    }
    return isGood
  }
}
