import { isDeepStrictEqual } from 'node:util'
import type { TaskDefinition } from './task.ts'

/** A field that differs between two releases. A side that is left out does not have the field. */
export type ReleaseChange = { readonly field: string; readonly before?: unknown; readonly after?: unknown }

/** A release as it is compared: with digests in place of the values of variables and secrets. */
export type Compared = {
  readonly task: TaskDefinition
  readonly secrets: Readonly<Record<string, string>>
}

/** These are different in every release, and say nothing of how the app is run. */
const LEFT_OUT = ['app', 'revision', 'createdAt', 'made']

/** What differs, field by field: `limits.memory`, `env.DEBUG`, `secrets.API_KEY`. */
export function changesBetween(before: Compared, after: Compared): readonly ReleaseChange[] {
  const [had, has] = [before, after].map(({ task, secrets }) => ({ ...task, secrets }) as Record<string, unknown>)
  return differences(had ?? {}, has ?? {}, name => (LEFT_OUT.includes(name) ? undefined : name))
}

function differences(
  had: Readonly<Record<string, unknown>>,
  has: Readonly<Record<string, unknown>>,
  fieldOf: (name: string) => string | undefined,
): readonly ReleaseChange[] {
  const names = [...new Set([...Object.keys(had), ...Object.keys(has)])]
  return names.flatMap(name => {
    const field = fieldOf(name)
    const [before, after] = [fieldIn(had, name), fieldIn(has, name)]
    if (field === undefined || isDeepStrictEqual(before, after)) return []
    if ((isGroup(before) || before === undefined) && (isGroup(after) || after === undefined))
      return differences(before ?? {}, after ?? {}, inner => `${field}.${inner}`)
    return [{ field, ...(before !== undefined && { before }), ...(after !== undefined && { after }) }]
  })
}

// A variable may be called "constructor".
const fieldIn = (group: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(group, name) ? group[name] : undefined

const isGroup = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
