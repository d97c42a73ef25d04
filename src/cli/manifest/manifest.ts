import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Build } from '../../api/manifest-schema.ts'
import { type Fault, ShadowError, systemCode } from '../../lib/errors.ts'
import { parseToml, type Toml } from '../../lib/toml.ts'
import { pageHtml } from '../../model/own-pages.ts'
import { meantElsewhere } from './elsewhere.ts'
import { isTable, normalised } from './normalise.ts'

export const MANIFEST = 'shadow.toml'

/** What an app has beside its definition: a change of it makes no revision. */
export const RULES = ['access', 'scale', 'wake', 'pages', 'tcp', 'template'] as const
export type Rule = (typeof RULES)[number]

/** Where the code of an app comes from. Paths are absolute. */
export type From =
  | { readonly kind: 'image'; readonly image: string }
  | { readonly kind: 'dockerfile'; readonly dockerfile: string; readonly context: string }
  | { readonly kind: 'source'; readonly folder: string }

/** What a shadow.toml says. */
export type Manifest = {
  readonly folder: string
  readonly app: string | undefined
  readonly from: From
  /** The fields of a definition in the form of the API, without its image. */
  readonly definition: Readonly<Record<string, unknown>>
  /** Rules of the app that are no part of its definition, by their names in the API; without those that the file does not have. */
  readonly rules: Readonly<Partial<Record<Rule, unknown>>>
  readonly build: Build
}

type Given = {
  /** The folder, or a file of another name than shadow.toml. */
  readonly path: string
  /** Flags that go before what the file says. */
  readonly app?: string | undefined
  readonly image?: string | undefined
}

/** Reads a shadow.toml. Fails with `bad-input`, which names every fault with its line and column. */
export async function readManifest({ path, app, image }: Given): Promise<Manifest> {
  const { file, text } = await find(path)
  const folder = dirname(file)
  const toml = await parseToml(text)
  // After a broken table its lines would count as those of another table.
  const tableIsBroken = toml.faults.some(({ line }) => /^\s*\[/.test(text.split('\n')[line - 1] ?? ''))
  const given = { ...toml.value, ...(app !== undefined && { app }), ...(image !== undefined && { image }) }
  if (image !== undefined) for (const other of ['dockerfile', 'source']) delete given[other as never]
  const { faults, value } = tableIsBroken ? { faults: [], value: {} } : await check(given, toml.faults.length > 0)
  const all = [
    ...toml.faults.map(({ line, column, message }) => ({ line, column, message })),
    ...faults.map(fault => ({ ...placeOf(fault.field, toml), message: sayFault(fault, given) })),
  ].sort((a, b) => a.line - b.line || a.column - b.column)
  if (all.length > 0) throw wrong(file, all)
  const manifest = manifestOf(value, folder)
  return { ...manifest, rules: await withPages(manifest, toml, file) }
}

/** The rules with the pages themselves in place of their files. */
async function withPages({ rules, folder }: Manifest, toml: Toml, file: string): Promise<Manifest['rules']> {
  if (rules.pages === undefined) return rules
  const faults: Parameters<typeof wrong>[1][number][] = []
  const read = async ([kind, path]: [string, unknown]): Promise<[string, string]> => {
    const field = `pages.${kind}`
    try {
      return [kind, pageHtml(await readFile(resolve(folder, String(path)), 'utf8'))]
    } catch (error) {
      faults.push({
        ...placeOf(field, toml),
        message: `${field} = ${JSON.stringify(path)}: ${(error as Error).message}`,
      })
      return [kind, '']
    }
  }
  const pages = Object.fromEntries(await Promise.all(Object.entries(rules.pages as object).map(read)))
  if (faults.length > 0) throw wrong(file, faults)
  return { ...rules, pages }
}

async function find(path: string): Promise<{ file: string; text: string }> {
  const at = resolve(path)
  try {
    const file = (await stat(at)).isDirectory() ? join(at, MANIFEST) : at
    return { file, text: await readFile(file, 'utf8') }
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) throw cause
    throw new ShadowError('bad-input', `there is no ${MANIFEST} in ${at}`, {
      cause,
      hint: `make one: shadow init ${shown(path)}`,
    })
  }
}

const shown = (path: string): string => relative(process.cwd(), resolve(path)) || '.'

/** Checks all that the file says, by the schema of the API. `isPartial`: lines could not be read, so nothing counts as missing. */
async function check(
  given: Readonly<Record<string, unknown>>,
  isPartial: boolean,
): Promise<{ faults: readonly Fault[]; value: Record<string, unknown> }> {
  const [{ ManifestSchema }, { RegisterSchema }, { faultsOf }] = await Promise.all([
    import('../../api/manifest-schema.ts'),
    import('../../api/schemas.ts'),
    import('../../api/parse-call.ts'),
  ])
  const faults: Fault[] = []
  const value = normalised(given, faults)
  const checked = ManifestSchema.safeParse(value, { reportInput: true })
  if (!checked.success) faults.push(...faultsOf(ManifestSchema, checked.error, ''))
  const kinds = ['image', 'dockerfile', 'source'].filter(kind => value[kind] !== undefined)
  if (kinds.length === 0 && !isPartial)
    faults.push({ field: '', message: 'says nothing to run; give one of image, dockerfile and source' })
  if (kinds.length > 1)
    faults.push({
      field: kinds[1] ?? '',
      message: `cannot be given beside ${kinds[0]}; give one of image, dockerfile and source`,
    })
  const { scale } = value
  if (isTable(scale) && scale['concurrency'] !== undefined && value['concurrency'] !== undefined)
    faults.push({ field: 'concurrency', message: 'is in [scale] too; write it once' })
  if (faults.length === 0) {
    // Rules that concern several fields.
    const whole = { name: 'app', image: 'image', ...definitionOf(value), ...rulesOf(value), pages: undefined }
    const result = RegisterSchema.safeParse(whole, { reportInput: true })
    if (!result.success) faults.push(...faultsOf(RegisterSchema, result.error, ''))
  }
  return { faults: isPartial ? faults.filter(({ message }) => !message.startsWith('is needed')) : faults, value }
}

function placeOf(field: string, { places }: Toml): { line: number; column: number } {
  const isElsewhere = field.startsWith('scale.concurrency') && !places.has('scale.concurrency')
  for (
    let at = isElsewhere ? 'concurrency' : fieldOfFile(field);
    at !== '';
    at = at.slice(0, Math.max(0, at.lastIndexOf('.')))
  ) {
    const place = places.get(at)
    if (place !== undefined) return place
  }
  return { line: 1, column: 1 }
}

const fieldOfFile = (field: string): string =>
  field.replace(/^(ready|startWithin)\b/, 'checks.$1').replace(/^name\b/, 'app')

function sayFault({ field, message }: Fault, given: Readonly<Record<string, unknown>>): string {
  const name = fieldOfFile(field)
  if (name === '') return message
  const value = name.split('.').reduce<unknown>((at, key) => (isIndexable(at) ? at[key] : undefined), given)
  const isUnknown = message.startsWith('is not a known field')
  const meant = isUnknown && !message.includes('did you mean') ? meantElsewhere(name) : undefined
  const isSaid = typeof value === 'string' && message.includes(value) // by the rule of the model itself
  const is =
    isUnknown || isSaid || value === undefined || typeof value === 'object' ? '' : ` = ${JSON.stringify(value)}`
  return `${name}${is}${/^(is|must|cannot|has|takes)\b/.test(message) && is === '' ? ' ' : ': '}${message}${meant ?? ''}`
}

const isIndexable = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function wrong(file: string, faults: readonly { line: number; column: number; message: string }[]): ShadowError {
  const named = shown(file)
  const listed = faults.map(({ line, column, message }) => ({ field: `${named}:${line}:${column}`, message }))
  const count = listed.length === 1 ? 'a fault' : `${listed.length} faults`
  return new ShadowError('bad-input', `${named} has ${count}; nothing was changed`, {
    faults: listed,
    hint: 'the fields are in docs/shadow-toml.md; an editor checks them by the #:schema line that shadow init writes',
  })
}

function manifestOf(value: Record<string, unknown>, folder: string): Manifest {
  const {
    app,
    image,
    dockerfile,
    source,
    build = {},
  } = value as {
    app?: string
    image?: string
    dockerfile?: string
    source?: string
    build?: Build
  }
  const from: From =
    image !== undefined
      ? { kind: 'image', image }
      : dockerfile !== undefined
        ? {
            kind: 'dockerfile',
            dockerfile: resolve(folder, dockerfile),
            context: resolve(folder, build.context ?? '.'),
          }
        : { kind: 'source', folder: resolve(folder, source ?? '.') }
  return { folder, app, from, definition: definitionOf(value), rules: rulesOf(value), build }
}

const NOT_OF_DEFINITION: ReadonlySet<string> = new Set([
  ...['app', 'image', 'dockerfile', 'source', 'build', 'concurrency', 'checks'],
  ...RULES,
])

/** The fields of the definition as the API has them. */
function definitionOf(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { checks } = value
  const rest = Object.fromEntries(Object.entries(value).filter(([name]) => !NOT_OF_DEFINITION.has(name)))
  return { ...rest, ...(isTable(checks) && checks) }
}

function rulesOf(value: Readonly<Record<string, unknown>>): Manifest['rules'] {
  const { scale, concurrency } = value
  const given = concurrency === undefined ? value : { ...value, scale: { ...(isTable(scale) && scale), concurrency } }
  return Object.fromEntries(RULES.flatMap(rule => (given[rule] === undefined ? [] : [[rule, given[rule]]])))
}

/** A name for an app without one, from its folder. */
export const nameOfFolder = (folder: string): string =>
  basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40) || 'app'
