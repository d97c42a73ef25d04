import { setTimeout as wait } from 'node:timers/promises'
import { sayBytes } from '../model/quantities.ts'
import type { MoveProgress } from '../model/volume-move.ts'

const ASKED_EVERY_MS = 500

/** Waits for a move, and tells of its progress as `ask` has it. */
export async function followMove<T>(
  move: Promise<T>,
  ask: () => Promise<MoveProgress | null>,
  say: (line: string) => void,
  everyMs = ASKED_EVERY_MS,
): Promise<T> {
  const over = new AbortController()
  move.catch(() => undefined).finally(() => over.abort())
  let said: string | undefined
  while (!over.signal.aborted) {
    await wait(everyMs, undefined, { signal: over.signal }).catch(() => undefined) // it is over
    const progress = over.signal.aborted ? null : await ask().catch(() => null) // the move itself tells of failures
    const line = progress === null ? said : sayProgress(progress)
    if (line !== said && line !== undefined) say(line)
    said = line
  }
  return move
}

/** One line about the progress. It changes with the stage, the pass, and each tenth of a pass. @internal */
export function sayProgress({ stage, pass, readBytes, ofBytes, sentBytes }: MoveProgress): string {
  const tenths = ofBytes === 0 ? 0 : Math.floor((10 * readBytes) / ofBytes)
  const part = `${10 * tenths}% of ${sayBytes(ofBytes)}`
  if (stage === 'stopping') return `${sayBytes(sentBytes)} copied; it is put to sleep, and its requests wait`
  if (stage === 'finishing') return `asleep, for what has changed since: ${part} compared`
  if (stage === 'switching') return `all is copied and compared; the new node takes it over`
  return pass === 1 ? `copied while it serves: ${part}` : `what has changed meanwhile (pass ${pass}): ${part} compared`
}
