import type { App } from '../../../../model/app.ts'
import type { Readiness, TaskDefinition } from '../../../../model/task.ts'
import { linesOf } from '../../../lines.ts'
import { shellWords, splitWords } from '../../../shell-words.ts'

/** How the text of a field becomes a value of the definition. */
type Kind = 'text' | 'number' | 'words' | 'lines' | 'ready' | 'check' | 'switch'

export type DefinitionField = {
  /** Its path in the definition, and in the faults of the master. */
  readonly name: string
  readonly label: string
  readonly hint?: string
  readonly kind: Kind
  /** The flag of `shadow update`. */
  readonly flag?: string
  /** The value of the flag that takes the field away; left out: no flag does. */
  readonly none?: string
  readonly placeholder?: string
  readonly choices?: readonly (readonly [value: string, text: string])[]
}

export type Texts = Readonly<Record<string, string>>

/** The texts that fields show for an app. A field that the definition does not have is ''. */
export const textsOf = ({ task }: App, fields: readonly DefinitionField[]): Texts =>
  Object.fromEntries(fields.map(field => [field.name, textOf(task, field)]))

function textOf(task: TaskDefinition, { name, kind }: DefinitionField): string {
  if (name === 'port') return task.portFrom === 'image' ? '' : String(task.port)
  const value = at(task, name)
  if (value === undefined) return ''
  switch (kind) {
    case 'words':
      return shellWords(...(value as readonly string[]))
    case 'lines':
      return (value as readonly string[]).join('\n')
    case 'ready':
      return sayReady(value as Readiness)
    case 'check':
      return sayCheck(value as Check)
    case 'switch':
      return value === true ? 'on' : 'off'
    default:
      return String(value)
  }
}

const at = (from: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], from)

/** A JSON merge patch of the fields that were changed. Text that is no value of its kind is sent as it is: the master says what is wrong. */
export function patchOf(changed: Texts, fields: readonly DefinitionField[]): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const field of fields) {
    const text = changed[field.name]
    if (text === undefined) continue
    const [last = '', ...groups] = field.name.split('.').reverse()
    let into = patch
    for (const group of groups.reverse()) {
      into[group] ??= {}
      into = into[group] as Record<string, unknown>
    }
    into[last] = fieldValue(field.kind, text.trim())
  }
  return patch
}

function fieldValue(kind: Kind, text: string): unknown {
  if (text === '') return null
  switch (kind) {
    case 'number':
      return Number.isFinite(Number(text)) ? Number(text) : text
    case 'words':
      return splitWords(text)
    case 'lines':
      return linesOf(text)
    case 'ready':
      return readyOf(text)
    case 'check':
      return checkOf(text)
    case 'switch':
      return text === 'on'
    default:
      return text
  }
}

const sayReady = (ready: Readiness): string =>
  ready.kind === 'http' ? `http:${ready.path}` : ready.kind === 'log' ? `log:${ready.line}` : ready.kind

// A merge patch takes the fields of another kind away.
function readyOf(text: string): unknown {
  if (text.startsWith('http:')) return { kind: 'http', path: text.slice(5), line: null }
  if (text.startsWith('log:')) return { kind: 'log', line: text.slice(4), path: null }
  return { kind: text, path: null, line: null }
}

type Check = NonNullable<TaskDefinition['sleep']['idleCheck']>
const COMMAND = 'command:'

const sayCheck = (check: Check): string =>
  check.kind === 'http' ? `http:${check.path}` : `${COMMAND}${shellWords(...check.command)}`

function checkOf(text: string): unknown {
  if (text.startsWith('http:')) return { kind: 'http', path: text.slice(5), command: null }
  if (text.startsWith(COMMAND)) return { kind: 'command', command: splitWords(text.slice(COMMAND.length)), path: null }
  return { kind: text, path: null, command: null }
}

/** The command that makes the same change, and the labels of fields for which there is no flag. */
export function updateCommand(
  app: string,
  changed: Texts,
  fields: readonly DefinitionField[],
): { readonly command: string; readonly without: readonly string[] } {
  const flags: string[] = []
  const without: string[] = []
  let words: readonly string[] = []
  for (const field of fields) {
    const text = changed[field.name]?.trim()
    if (text === undefined) continue
    if (field.kind === 'words') {
      if (text === '') flags.push('--no-command')
      else words = ['--', ...splitWords(text)]
    } else if (field.flag === undefined || (text === '' && field.none === undefined)) without.push(field.label)
    else if (text === '') flags.push(field.flag, field.none ?? '')
    else if (field.kind === 'lines') for (const line of linesOf(text)) flags.push(field.flag, line)
    else if (text.startsWith(COMMAND)) flags.push('--idle-check-command', shellLine(text.slice(COMMAND.length)))
    else flags.push(field.flag, text)
  }
  return { command: shellWords('shadow', 'update', app, ...flags, ...words), without }
}

/** The flag takes a line for `sh -c`. */
function shellLine(text: string): string {
  const [program, option, line, ...rest] = splitWords(text)
  return program === 'sh' && option === '-c' && line !== undefined && rest.length === 0 ? line : text
}
