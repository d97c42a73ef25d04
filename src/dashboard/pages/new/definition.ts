import type { Register } from '../../../api/schemas.ts'
import { linesOf } from '../../lines.ts'
import { splitWords } from '../../shell-words.ts'

/** What the form of a new app holds, field by field. The names are those of the fields in the body of the call. */
export const EMPTY = {
  name: '',
  image: '',
  command: '',
  port: '',
  'volume.size': '',
  'volume.path': '',
  domains: '',
  env: '',
  secrets: '',
  'limits.memory': '',
  'limits.cpus': '',
  'sleep.idleAfter': '',
}
export type Values = { readonly [K in keyof typeof EMPTY]: string }

/** The variables of lines `NAME=value`. A line without "=" has an empty value, which the form says. */
const variablesOf = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    linesOf(text).map(line => {
      const equals = line.indexOf('=')
      return equals < 0 ? [line, ''] : [line.slice(0, equals).trim(), line.slice(equals + 1)]
    }),
  )

/** A number as the call takes it; text that is none stays text, so that the master says what is wrong with it. */
const numberOf = (text: string): unknown => (text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text))

/** The body of the call that registers the app. Fields that are empty are left out: they get their defaults. */
export function definitionOf(values: Values): Register {
  const given = (name: keyof Values): string | undefined => values[name].trim() || undefined
  const group = (parts: Readonly<Record<string, unknown>>): object | undefined => {
    const set = Object.entries(parts).filter(([, value]) => value !== undefined)
    return set.length === 0 ? undefined : Object.fromEntries(set)
  }
  const words = splitWords(values.command)
  const domains = linesOf(values.domains)
  const [env, secrets] = [variablesOf(values.env), variablesOf(values.secrets)]
  const number = (name: keyof Values): unknown => {
    const text = given(name)
    return text === undefined ? undefined : numberOf(text)
  }
  const body = group({
    name: values.name.trim(),
    image: values.image.trim(),
    command: words.length > 0 ? words : undefined,
    port: number('port'),
    volume: group({ size: given('volume.size'), path: given('volume.path') }),
    domains: domains.length > 0 ? domains : undefined,
    env: Object.keys(env).length > 0 ? env : undefined,
    secrets: Object.keys(secrets).length > 0 ? secrets : undefined,
    limits: group({ memory: given('limits.memory'), cpus: number('limits.cpus') }),
    sleep: group({ idleAfter: given('sleep.idleAfter') }),
  })
  return body as unknown as Register // what was typed is free text; the schema of the master decides
}
