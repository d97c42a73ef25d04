import { setTimeout as sleep } from 'node:timers/promises'
import { ShadowError } from '../lib/errors.ts'
import { linePattern } from '../lib/line-pattern.ts'
import type { LogLine } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'

// Matching is linear, and yet a large pattern and long lines take tens of milliseconds a line, on the thread that serves all
// apps: after a match that took long, others have four times as long.
const LONG_MS = 2
const PAUSE_OF_MATCH = 4

/** Resolves as soon as a line matches the pattern of the app; rejects with the signal's reason. */
export async function untilWritten(
  task: TaskDefinition,
  pattern: string,
  output: (signal: AbortSignal) => AsyncIterable<LogLine>,
  signal: AbortSignal,
): Promise<void> {
  const matches = matcherOf(task, pattern)
  const done = new AbortController()
  try {
    for await (const { line, stream } of output(AbortSignal.any([signal, done.signal]))) {
      if (stream === 'shadow') continue // that is ours, not the app's
      const from = performance.now()
      if (matches(line)) return
      const took = performance.now() - from
      if (took > LONG_MS) await sleep(took * PAUSE_OF_MATCH, undefined, { signal })
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    done.abort()
  }
  // The end of the output is the end of the app. The watch for its exit aborts the signal with the reason.
  await new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

// A definition that was stored before patterns had to be of RE2's syntax may have one that is not.
function matcherOf({ app }: TaskDefinition, pattern: string): (line: string) => boolean {
  try {
    return linePattern(pattern)
  } catch (cause) {
    if (!(cause instanceof ShadowError)) throw cause
    throw new ShadowError('app-not-ready', `the line "${pattern}" that tells when ${app} is ready ${cause.message}`, {
      cause,
      hint: `shadow update ${app} --ready log:REGEX`,
    })
  }
}
