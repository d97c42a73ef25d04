import { type Fault, ShadowError } from './errors.ts'

/** One setting of a daemon: its variable, its parser, its default as a person would write it, and one sentence about it. */
export type Setting<T> = {
  readonly env: string
  readonly parse: (text: string) => T
  readonly fallback: string | undefined
  readonly optional: boolean
  readonly help: string
}

type Words = { default?: string; help: string }

/** A setting with a default; without a default it must be given. */
export function setting<T>(env: string, parse: (text: string) => T, words: Words): Setting<T> {
  return { env, parse, fallback: words.default, optional: false, help: words.help }
}

/** An optional setting; it is undefined if it is left out. */
export function optionalSetting<T>(
  env: string,
  parse: (text: string) => T,
  words: { help: string },
): Setting<T | undefined> {
  return { env, parse, fallback: undefined, optional: true, help: words.help }
}

export type SettingsTable = Readonly<Record<string, Setting<unknown>>>
export type Values<Table extends SettingsTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer T> ? T : never
}

/**
 * Reads the settings of the table from the environment. Flags, by the setting's name in the table, take precedence. An empty variable
 * counts as not given. Throws one `bad-input` that names every fault.
 */
export function readSettings<Table extends SettingsTable>(
  table: Table,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string | undefined>> = {},
): Values<Table> {
  const faults: Fault[] = []
  const values: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(table)) {
    const flag = flags[name]
    const field = flag === undefined ? one.env : `--${kebab(name)}`
    const text = flag ?? (env[one.env] || one.fallback)
    if (text === undefined) {
      if (!one.optional) faults.push({ field, message: `is not set; it is needed: ${one.help}` })
      continue
    }
    try {
      values[name] = one.parse(text)
    } catch (error) {
      // The message of another error may repeat the value, which may be a secret.
      faults.push({ field, message: error instanceof ShadowError ? error.message : 'cannot be read' })
    }
  }
  if (faults.length > 0) {
    const lines = faults.map(({ field, message }) => `  ${field}: ${message}`).join('\n')
    throw new ShadowError('bad-input', `settings are wrong:\n${lines}`, { faults, hint: 'shadow help settings' })
  }
  return values as Values<Table>
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)

/** Parses nothing: the text as it is. */
export const text = (value: string): string => value

/** Parses a whole number between the two, both included. */
export const wholeNumber =
  (least: number, most: number) =>
  (value: string): number => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least || number > most)
      throw new ShadowError('bad-input', `"${value}" is not a whole number from ${least} to ${most}`)
    return number
  }

/** Parses one of these words. */
export const oneOf =
  <const Words extends readonly string[]>(...words: Words) =>
  (value: string): Words[number] => {
    if (!words.includes(value)) throw new ShadowError('bad-input', `"${value}" is none of ${words.join(', ')}`)
    return value
  }

/** Parses an http or https URL, without a slash at its end. Messages do not repeat a value with an @: it may contain a password. */
export function url(value: string): string {
  const parsed = URL.parse(value)
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw new ShadowError(
      'bad-input',
      value.includes('@') ? 'is not an http:// or https:// URL' : `"${value}" is not an http:// or https:// URL`,
    )
  if (parsed.username !== '' || parsed.password !== '')
    throw new ShadowError('bad-input', 'has a user or a password, which are not used here; leave them out')
  return value.replace(/\/+$/, '')
}

/** `shared`: other listeners of this machine may use the same port, and the kernel spreads connections over all of them (Linux). */
export type ListenAddress = { readonly host: string; readonly port: number; readonly shared?: boolean }

/** Parses `PORT`, `HOST:PORT` or `[IPV6]:PORT` to listen on. A port alone uses the given host. */
export const listenAddress =
  (host: string) =>
  (value: string): ListenAddress => {
    const match = /^(?:(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]]+)):)?(?<port>\d{1,5})$/.exec(value)
    const port = Number(match?.groups?.['port'])
    if (match === null || port > 65_535)
      throw new ShadowError(
        'bad-input',
        `"${value}" is not an address to listen on; use PORT, HOST:PORT or [IPV6]:PORT`,
      )
    return { host: match.groups?.['v6'] ?? match.groups?.['name'] ?? host, port }
  }
