import type { Fault } from '../../lib/errors.ts'
import { idleCheck } from '../../model/idle-check.ts'
import { parsedFlag } from '../command-options.ts'
import { readiness } from '../definition-flags.ts'

type Table = Record<string, unknown>

/** Brings the forms that only shadow.toml has into the form of the API, in their place. What cannot be read is left for the schema to refuse. */
export function normalised(given: Readonly<Table>, faults: Fault[]): Table {
  const { command, env, checks, sleep, ...rest } = given
  return {
    ...rest,
    ...(command !== undefined && { command: typeof command === 'string' ? commandOf(command) : command }),
    ...(env !== undefined && { env: isTable(env) ? textsOf(env) : env }),
    ...(checks !== undefined && { checks: isTable(checks) ? checksOf(checks, faults) : checks }),
    ...(sleep !== undefined && { sleep: isTable(sleep) ? sleepOf(sleep, faults) : sleep }),
  }
}

// Words that a shell would change, or that only a shell has.
const NEEDS_SHELL = /[$`"'\\*?[\]{}()<>|&;~#!\n]|^\s*\w+=/
const SEVERAL = /[|&;\n]/

/** The words of a command. A text that needs a shell is run by one, which `exec` replaces by the command, so that signals reach it. */
export function commandOf(text: string): readonly string[] {
  const trimmed = text.trim()
  if (trimmed === '') return []
  if (!NEEDS_SHELL.test(trimmed)) return trimmed.split(/\s+/)
  return ['sh', '-c', SEVERAL.test(trimmed) || /^\w+=/.test(trimmed) ? trimmed : `exec ${trimmed}`]
}

const textsOf = (env: Table): Table =>
  Object.fromEntries(Object.entries(env).map(([name, value]) => [name, isPlain(value) ? String(value) : value]))

function checksOf({ ready, ...rest }: Table, faults: Fault[]): Table {
  if (typeof ready !== 'string') return { ...rest, ...(ready !== undefined && { ready }) }
  const wrong: Fault[] = []
  const parsed = readiness(ready, wrong)
  faults.push(...wrong.map(({ message }) => ({ field: 'checks.ready', message })))
  if (!isTable(parsed)) return rest
  return { ...rest, ready: Object.fromEntries(Object.entries(parsed).filter(([, value]) => value !== null)) }
}

function sleepOf({ idleCheck: check, ...rest }: Table, faults: Fault[]): Table {
  if (typeof check !== 'string') return { ...rest, ...(check !== undefined && { idleCheck: check }) }
  const wrong: Fault[] = []
  const parsed = parsedFlag('sleep.idleCheck', idleCheck, check, wrong)
  faults.push(...wrong)
  return { ...rest, ...(parsed !== undefined && { idleCheck: parsed }) }
}

const isPlain = (value: unknown): value is number | boolean => typeof value === 'number' || typeof value === 'boolean'

export const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
