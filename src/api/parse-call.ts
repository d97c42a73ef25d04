import { z } from 'zod'
import { type Fault, ShadowError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'

/** The parts of a call, not parsed yet. */
type Parts = { readonly params?: unknown; readonly query?: unknown; readonly body?: unknown }
type Schemas = { readonly [Part in keyof Parts]?: z.ZodType | undefined }

/** Parses all parts of a call's input; fails with one `bad-input` that names every fault of every part. */
export function parseCall(schemas: Schemas, given: Parts): Parts {
  const faults: Fault[] = []
  const parsed: { params?: unknown; query?: unknown; body?: unknown } = {}
  for (const part of ['params', 'query', 'body'] as const) {
    const schema = schemas[part]
    if (schema === undefined) continue
    const result = schema.safeParse(given[part], { reportInput: true })
    if (result.success) parsed[part] = result.data
    else faults.push(...faultsOf(schema, result.error, part))
  }
  if (faults.length > 0) throw badInput(faults)
  return parsed
}

/** Parses one value; fails with one `bad-input` that names every fault. */
export function parseValue<T>(schema: z.ZodType<T>, value: unknown): T {
  return parseCall({ body: schema }, { body: value }).body as T
}

function badInput(faults: readonly Fault[]): ShadowError {
  const lines = faults.map(({ field, message }) => `${field}: ${message}`)
  const detail = lines.length === 1 ? lines[0] : `${lines.length} faults:\n${lines.map(line => `  ${line}`).join('\n')}`
  return new ShadowError('bad-input', detail ?? '', { faults })
}

/** Every fault that the schema found; `root` stands for the value itself. */
export function faultsOf(schema: z.ZodType, error: z.ZodError, root: string): Fault[] {
  return error.issues.flatMap(issue => {
    const field = issue.path.map(String).join('.')
    if (issue.code !== 'unrecognized_keys') return { field: field || root, message: messageOf(issue) }
    const known = keysAt(schema, issue.path)
    return issue.keys.map(key => {
      const [meant] = nearest(key, [...known])
      return {
        field: [...issue.path.map(String), key].join('.'),
        message: `is not a known field${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
      }
    })
  })
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type')
    return issue.input === undefined ? `is needed (${issue.expected})` : `must be ${article(issue.expected)}`
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? issue.message
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `must be one of ${issue.options.map(String).join(', ')}`
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}${ofWhat(issue.origin)}`
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${ofWhat(issue.origin)}`
  return issue.message
}

const article = (type: string): string =>
  type === 'int' ? 'a whole number' : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`

const ofWhat = (origin: string): string => ({ string: ' characters long', array: ' in number' })[origin] ?? ''

/** The keys of the object schema at this path, found through defaults and optionals. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = bare(schema)
  for (const step of path) at = at instanceof z.ZodObject ? bare(at.shape[String(step)]) : undefined
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

function bare(schema: unknown): unknown {
  const wrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
  return wrapped ? bare(schema.def.innerType) : schema
}
