import { constants } from 'node:os'
import { ShadowError } from '../lib/errors.ts'
import { withLastLines } from '../model/last-lines.ts'
import { sayBytes, toBytes } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Container, Exit, Runtime } from './runtime/runtime.ts'

const LAST_LINES = 20
const LAST_CHARS = 4_000
// What has ended is read to its end; what still runs is read for a moment.
const READ_WITHIN_MS = 500

/** What happened to an app that ended before it was ready. */
export async function diedEarly(
  task: TaskDefinition,
  container: Container,
  exit: Exit | undefined,
  parts: { runtime: Runtime },
): Promise<ShadowError> {
  if (exit === undefined) return vanished(task, parts)
  return new ShadowError(
    'app-crashed',
    await withLinesOf(container, `${task.app} ${howItEnded(task, exit)} before it was ready`, parts),
    { hint: hintOf(task, exit, true), facts: factsOf(exit) },
  )
}

/** What happened to an app that was awake: `exit` is undefined where its container was gone without a trace. `soon`: it had just begun. */
export const diedAwake = (task: TaskDefinition, exit: Exit | undefined, soon = false): ShadowError =>
  exit === undefined
    ? new ShadowError('app-crashed', `the container of ${task.app} was removed from outside while it was awake`)
    : new ShadowError('app-crashed', `${task.app} ${howItEnded(task, exit)} while it was awake`, {
        hint: hintOf(task, exit, soon),
        facts: factsOf(exit),
      })

/** The error when the runtime does not know how the app ended: it does not answer, or something else removed the container. */
async function vanished(task: TaskDefinition, { runtime }: { runtime: Runtime }): Promise<ShadowError> {
  if (await runtime.alive(AbortSignal.timeout(READ_WITHIN_MS)))
    return new ShadowError('app-crashed', `the container of ${task.app} was removed from outside before it was ready`)
  return new ShadowError('runtime-unreachable', `Docker went away while ${task.app} was being woken`, {
    retryAfterMs: 1_000,
  })
}

/** The text with the last lines of the app's output. */
export async function withLinesOf(
  container: Container,
  what: string,
  { runtime }: { runtime: Runtime },
): Promise<string> {
  const lines: string[] = []
  try {
    for await (const { line } of runtime.output(container, undefined, AbortSignal.timeout(READ_WITHIN_MS))) {
      lines.push(line)
      if (lines.length > LAST_LINES) lines.shift()
    }
  } catch {
    // The lines are only an aid. The output of an app that still runs has no end, and the runtime may have gone.
  }
  return withLastLines(what, lines, LAST_CHARS)
}

const howItEnded = (task: TaskDefinition, exit: Exit): string =>
  exit.outOfMemory
    ? `was killed for using more than its ${sayBytes(toBytes(task.limits.memory))} of memory (${sayExit(exit)})`
    : `ended with ${sayExit(exit)}`

/** The exit code as text. A shell, docker-init and Docker report a signal as 128 plus its number. */
export function sayExit({ exitCode }: Pick<Exit, 'exitCode'>): string {
  const [signal] = Object.entries(constants.signals).find(([, number]) => number === exitCode - 128) ?? []
  return signal === undefined ? `exit code ${exitCode}` : `exit code ${exitCode}, ${signal}`
}

/** The hint for the owner. A program that exits at once with 0 has usually gone to the background, and its container ends with it. */
const hintOf = ({ app }: TaskDefinition, { exitCode, outOfMemory }: Exit, soon: boolean): string => {
  if (outOfMemory) return `give it more: shadow update ${app} --memory SIZE; shadow logs ${app}`
  return soon && exitCode === 0 ? inForeground(app) : `shadow logs ${app}`
}

export const inForeground = (app: string): string =>
  `its command must stay in the foreground (nginx -g "daemon off;", httpd -D FOREGROUND); shadow logs ${app}`

const factsOf = (exit: Exit): Record<string, number> => ({
  exitCode: exit.exitCode,
  ...(exit.outOfMemory && { outOfMemory: 1 }),
})
