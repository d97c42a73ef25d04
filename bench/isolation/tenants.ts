import type { Register } from '../../src/api/schemas.ts'

/** The apps that only serve: `steady` is always awake, `sleepy` falls asleep between the visits. */
export const INNOCENT = ['steady', 'sleepy'] as const

/** The apps that misbehave, each in the way that it is called after. */
export const HOSTILE = [
  'dies',
  'exits',
  'spins',
  'fills',
  'forks',
  'logs',
  'hangs',
  'floods',
  'scans',
  'resets',
] as const

/** How an app of the bench is registered; `certain` is the hostname that it is asked for by. */
export function definitionOf(name: string, image: string): Register {
  const innocent = (INNOCENT as readonly string[]).includes(name)
  return {
    name,
    image,
    domains: [hostnameOf(name)],
    env: { NAME: name },
    limits: { memory: '128MiB', pids: 64 },
    sleep: { idleAfter: name === 'sleepy' ? '1s' : innocent ? 'never' : '10s', grace: '1s' },
    ...(name === 'fills' && { volume: { size: '64MiB' } }),
  }
}

export const hostnameOf = (name: string): string => `${name}.isolation.example`
