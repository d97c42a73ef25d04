import { useLayoutEffect, useState } from 'preact/hooks'

/** A value that components follow. */
export type Store<T> = {
  readonly value: T
  set(value: T): void
  /** Calls the listener at each change; returns the function that ends it. */
  follow(listener: () => void): () => void
}

export function store<T>(initial: T): Store<T> {
  const listeners = new Set<() => void>()
  let value = initial
  return {
    get value() {
      return value
    },
    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
    follow(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The value of a store; the component is drawn again when it changes. */
export function useStore<T>(from: Store<T>): T {
  const [value, setValue] = useState(from.value)
  useLayoutEffect(() => {
    setValue(() => from.value)
    return from.follow(() => setValue(() => from.value))
  }, [from])
  return value
}
