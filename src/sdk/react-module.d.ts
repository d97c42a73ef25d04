/** What is used of React, which is no dependency of ours. */
declare module 'react' {
  export function useState<T>(initial: T): [T, (next: T | ((now: T) => T)) => void]
  export function useEffect(effect: () => (() => void) | undefined, inputs: readonly unknown[]): void
}
