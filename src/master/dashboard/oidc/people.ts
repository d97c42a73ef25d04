import { readFileSync } from 'node:fs'
import { ShadowError } from '../../../lib/errors.ts'
import { isNodeName } from '../../../model/names.ts'
import { appPattern, type Scope } from '../../../model/scope.ts'

/** A person as the provider names them. `email` is set only if the provider has verified the address. */
export type Person = {
  readonly subject: string
  readonly email?: string | undefined
  /** Those of their groups that the setting names. */
  readonly groups: readonly string[]
}

/** What a person may do: everything, or what an owner of this name may do with these apps. */
export type Admitted =
  | { readonly role: 'admin' }
  | { readonly role: 'owner'; readonly name: string; readonly apps: Scope }

type Entry = { readonly who: { readonly email: string } | { readonly group: string }; readonly as: Admitted }
export type People = readonly Entry[]

/** What the first entry that fits the person says; undefined if none fits. */
export function admitted(people: People, { email, groups }: Person): Admitted | undefined {
  const fits = ({ who }: Entry): boolean =>
    'group' in who ? groups.includes(who.group) : email !== undefined && email.toLowerCase() === who.email
  return people.find(fits)?.as
}

/** Whether an entry names the group. */
export const isNamed = (people: People, group: string): boolean =>
  people.some(({ who }) => 'group' in who && who.group === group)

/**
 * Parses who may do what: `ann@example.com=admin; group:ops=admin; bob@example.com=owner:bob:bob-*,shared`, with entries separated by semicolons or
 * newlines; or the path of a file with such entries.
 */
export function people(text: string): People {
  const entries = (text.startsWith('/') ? fileText(text) : text)
    .split(/[;\n]/)
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'))
  if (entries.length === 0) throw new ShadowError('bad-input', 'it names nobody')
  return entries.map(entryIn)
}

function entryIn(text: string): Entry {
  const at = text.lastIndexOf('=')
  const [who, what] = [text.slice(0, Math.max(0, at)).trim(), text.slice(at + 1).trim()]
  const group = /^group:(.+)$/.exec(who)?.[1]?.trim()
  if (group === undefined && !/^[^\s@]+@[^\s@]+$/.test(who))
    throw new ShadowError('bad-input', `"${text.slice(0, 200)}": begin it with an e-mail address or group:NAME, and =`)
  return { who: group === undefined ? { email: who.toLowerCase() } : { group }, as: admittedIn(what, text) }
}

function admittedIn(what: string, text: string): Admitted {
  if (what === 'admin') return { role: 'admin' }
  const [, name = '', apps = ''] = /^owner:([^:]+):(.+)$/.exec(what) ?? []
  if (!isNodeName(name))
    throw new ShadowError(
      'bad-input',
      `"${text.slice(0, 200)}": end it with =admin or =owner:NAME:APPS, such as =owner:ann:ann-*`,
    )
  return { role: 'owner', name, apps: apps.split(',').map(one => appPattern(one.trim())) }
}

/** The text of a file that a setting names; fails with `bad-input`. */
export function fileText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ShadowError('bad-input', `${file} cannot be read`, { cause })
  }
}
