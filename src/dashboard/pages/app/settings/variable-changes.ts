import { shellWords } from '../../../shell-words.ts'

type Typed = Readonly<Record<string, string | boolean | undefined>>
/** New values by name; null takes one away. */
export type VariableChanges = Readonly<Record<string, string | null>>

/** What was changed in the form of variables: `set.NAME` and `unset.NAME` are marks, `value.NAME` is the new value. */
export function variableChanges(typed: Typed): VariableChanges {
  const changes: [string, string | null][] = []
  for (const [key, value] of Object.entries(typed)) {
    if (value !== true) continue
    if (key.startsWith('set.')) changes.push([key.slice(4), String(typed[`value.${key.slice(4)}`] ?? '')])
    if (key.startsWith('unset.')) changes.push([key.slice(6), null])
  }
  return Object.fromEntries(changes)
}

const LINE = /^(?:export\s+)?([^\s=#]+)=(.*)$/

/** The variables of pasted lines NAME=value; none if the text is something else. */
export function pastedVariables(text: string): readonly (readonly [name: string, value: string])[] {
  const lines = text.split(/\r?\n/).filter(line => line.trim() !== '' && !line.trim().startsWith('#'))
  const found = lines.map(line => LINE.exec(line.trim()))
  return found.every(match => match !== null) ? found.map(([, name = '', value = '']) => [name, unquoted(value)]) : []
}

const unquoted = (value: string): string => /^(["'])([\s\S]*)\1$/.exec(value)?.[2] ?? value

/** The command that makes the same changes of the environment. */
export const envCommand = (app: string, changes: VariableChanges): string =>
  shellWords(
    ...['shadow', 'update', app],
    ...Object.entries(changes).flatMap(([name, value]) =>
      value === null ? ['--unset-env', name] : ['--env', `${name}=${value}`],
    ),
  )

/** The commands that make the same changes of secrets. They ask for the values: a command line is kept in the history of a shell. */
export function secretsCommand(app: string, changes: VariableChanges, isStaged: boolean): string {
  const names = (isUnset: boolean): string[] =>
    Object.entries(changes).flatMap(([name, value]) => ((value === null) === isUnset ? [name] : []))
  const stage = isStaged ? '--stage' : undefined
  const commands = [
    ...(names(false).length > 0 ? [shellWords('shadow', 'secrets', 'set', app, ...names(false), stage)] : []),
    ...(names(true).length > 0 ? [shellWords('shadow', 'secrets', 'unset', app, ...names(true), stage)] : []),
  ]
  return commands.join(' && ') || shellWords('shadow', 'secrets', 'set', app, 'NAME', stage)
}
