import { setTimeout as wait } from 'node:timers/promises'
import { isFailure } from '../lib/errors.ts'

const TRIES = 30

/**
 * Runs the task again each time another writer changed the document between its read and its write. The task has to read the document anew
 * each time.
 */
export async function retryOnConflict<T>(task: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await task()
    } catch (error) {
      if (!isFailure(error, 'changed', 'already-exists') || tries === TRIES) throw error
    }
    await wait(Math.random() * 5 * tries)
  }
}
