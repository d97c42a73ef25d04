import { isDeepStrictEqual } from 'node:util'
import type { TaskDefinition } from '../model/task.ts'

const LEFT_OUT = ['app', 'revision', 'createdAt']

/** The changes of a revision: `image, env +A ~B -C, limits.memory 512MiB → 1GiB`. Values of variables are left out: they may be secrets. */
export function changesOf(task: TaskDefinition, before: TaskDefinition | undefined): string {
  if (before === undefined) return '-'
  const [now, had] = [task, before] as unknown as Record<string, unknown>[]
  const fields = [...new Set([...Object.keys(had ?? {}), ...Object.keys(now ?? {})])]
  const changes = fields
    .filter(field => !LEFT_OUT.includes(field))
    .flatMap(field => (field === 'env' ? variables(task.env, before.env) : changed(field, now?.[field], had?.[field])))
  return changes.join(', ') || '-'
}

function variables(now: TaskDefinition['env'] = {}, had: TaskDefinition['env'] = {}): string[] {
  const names = [...new Set([...Object.keys(had), ...Object.keys(now)])].sort()
  const changes = names.flatMap(name => {
    if (!Object.hasOwn(had, name)) return `+${name}`
    if (!Object.hasOwn(now, name)) return `-${name}`
    return now[name] === had[name] ? [] : `~${name}`
  })
  return changes.length === 0 ? [] : [`env ${changes.join(' ')}`]
}

function changed(field: string, now: unknown, had: unknown): string[] {
  if (isDeepStrictEqual(now, had)) return []
  if (isGroup(now) && isGroup(had)) {
    const names = [...new Set([...Object.keys(had), ...Object.keys(now)])]
    return names.flatMap(name => changed(`${field}.${name}`, now[name], had[name]))
  }
  if (isPlain(now) && isPlain(had)) return [`${field} ${had ?? 'none'} → ${now ?? 'none'}`]
  return [field]
}

const isGroup = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isPlain = (value: unknown): boolean =>
  value === undefined || ['string', 'number', 'boolean'].includes(typeof value)
