/** The machines of a run. Each has one letter, so that a log line is short. */
export const NODES = ['a', 'b', 'c'] as const
export const FRONTS = ['x', 'y'] as const
export const MASTERS = ['m', 'n'] as const
export const LEASE_MS = 12_000
