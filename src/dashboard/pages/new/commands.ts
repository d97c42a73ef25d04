import { shellWords } from '../../shell-words.ts'
import { definitionOf, type Values } from './definition.ts'

/** The command of the CLI that makes the same app. Values of secrets are never part of it: a second command asks for them. */
export function commandOf(values: Values): string {
  const { name, image, command, port, volume, domains, env, secrets, limits, sleep } = definitionOf(values)
  const flags: (readonly [string, unknown])[] = [
    ['--image', image === '' ? 'IMAGE' : image],
    ['--port', port],
    ['--volume', volume && (volume.path === undefined ? volume.size : `${volume.size ?? ''}:${volume.path}`)],
    ...(domains ?? []).map(domain => ['--domain', domain] as const),
    ...Object.entries(env ?? {}).map(([key, value]) => ['--env', `${key}=${value}`] as const),
    ['--memory', limits?.memory],
    ['--cpus', limits?.cpus],
    ['--idle-after', sleep?.idleAfter],
  ]
  const said = flags.filter(([, value]) => value !== undefined).flatMap(([flag, value]) => [flag, `${value}`])
  const app = name === '' ? 'NAME' : name
  const register = shellWords('shadow', 'register', app, ...said, ...(command ? ['--', ...command] : []))
  const names = Object.keys(secrets ?? {})
  return names.length === 0 ? register : `${register} && ${shellWords('shadow', 'secrets', 'set', app, ...names)}`
}

/** The shadow.toml that makes the same app by `shadow deploy`. Secrets are no part of the file. */
export function manifestOf(values: Values): string {
  const { name, image, command, port, volume, domains, env, secrets, limits, sleep } = definitionOf(values)
  const top = tableOf({ app: name || undefined, image: image || undefined, command, port, domains })
  const tables: readonly (readonly [string, object | undefined])[] = [
    ['env', env as object | undefined], // the schema takes anything here, to refuse it with a message
    ['volume', volume],
    ['limits', limits],
    ['sleep', sleep],
  ]
  const below = tables
    .filter(([, table]) => table !== undefined)
    .map(([title, table]) => `[${title}]\n${tableOf({ ...table })}`)
  const names = Object.keys(secrets ?? {})
  const note = names.length === 0 ? [] : [`# shadow secrets set ${name || 'NAME'} ${names.join(' ')}\n`]
  return [top, ...below, ...note].join('\n')
}

const tableOf = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${/^[\w-]+$/.test(key) ? key : textOf(key)} = ${sayValue(value)}\n`)
    .join('')

const sayValue = (value: unknown): string =>
  typeof value === 'number'
    ? String(value)
    : Array.isArray(value)
      ? `[${value.map(sayValue).join(', ')}]`
      : textOf(String(value))

/** Text as a basic string of TOML: the escapes of JSON are those of TOML, which also forbids DEL. */
const textOf = (text: string): string => JSON.stringify(text).replaceAll('\u007f', '\\u007f')
