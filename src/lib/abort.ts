import type { Clock } from './clock.ts'

/** Waits for the promise. If the signal aborts first, it rejects with the signal's reason; the promise itself goes on. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => undefined) // nobody waits for it here any more; its owner handles its failure
    return Promise.reject(signal.reason)
  }
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

/** A signal that aborts with `reason()` after `ms` on the given clock; dispose it when the work is done. */
export function deadline(clock: Clock, ms: number, reason: () => unknown): { signal: AbortSignal } & Disposable {
  const controller = new AbortController()
  const timer = clock.after(ms, () => controller.abort(reason()))
  return { signal: controller.signal, [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

/** Resolves after `ms` on the given clock, or rejects with the signal's reason. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const leave = (): void => {
      timer[Symbol.dispose]()
      reject(signal.reason)
    }
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', leave)
      resolve()
    })
    signal.addEventListener('abort', leave, { once: true })
  })
}

/** Whether the promise resolves within `ms` on the given clock. It rejects if the promise rejects in that time. */
export function resolvesWithin(promise: Promise<unknown>, clock: Clock, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => resolve(false))
    promise.then(() => resolve(true), reject).finally(() => timer[Symbol.dispose]())
  })
}
