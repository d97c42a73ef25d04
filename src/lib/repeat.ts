import type { Clock } from './clock.ts'

/** Does something again and again, each time `everyMs` after the last has ended, until it is disposed of; a failure is told and ends nothing. */
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
