import type { Clock } from './clock.ts'

/**
 * Repeats an action until it is disposed: each time `everyMs` after the last run has ended. A failure is logged and does not end the
 * repetition.
 */
export function repeat(
  clock: Clock,
  everyMs: number,
  task: () => Promise<void>,
  onFailure: (cause: unknown) => void,
): Disposable {
  let isOver = false
  let next: Disposable | undefined
  const again = (): void => {
    if (!isOver) next = clock.after(everyMs, () => void task().catch(onFailure).finally(again))
  }
  again()
  return {
    [Symbol.dispose]() {
      isOver = true
      next?.[Symbol.dispose]()
    },
  }
}
