import type { Register } from '../../src/api/schemas.ts'

/** The well-behaved apps: `steady` is always awake, `sleepy` sleeps between visits. */
export const INNOCENT = ['steady', 'sleepy'] as const

/** The misbehaving apps, each named after its misbehaviour. */
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

/** The definition of an app of the bench. Requests name its hostname `certain`. */
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
