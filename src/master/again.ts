import { setTimeout as wait } from 'node:timers/promises'
import { isFailure } from '../lib/errors.ts'

const TRIES = 30

/** Does it again, from what is there now, as long as somebody else's write comes between; the deed reads afresh each time. */
export async function again<T>(deed: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await deed()
    } catch (error) {
      if (!isFailure(error, 'changed', 'already-exists') || tries === TRIES) throw error
    }
    await wait(Math.random() * 5 * tries)
  }
}
