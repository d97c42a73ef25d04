import { type Complete, RootCommand } from '@bomb.sh/tab'
import { Command } from 'commander'
import type { MasterClient } from '../api/client.ts'
import type { Verb } from './commands.ts'
import { contextsFile } from './config.ts'
import { openContexts } from './contexts.ts'
import { allApps } from './near-apps.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

/** A person who has pressed the tab key does not wait for longer. */
const NAMES_WITHIN_MS = 1_000

/** What completes an argument: by the name of the argument, and its description where several have that name. */
type Names = 'app' | 'node' | 'volume' | 'context'

/**
 * Answers a completion script of @bomb.sh/tab: prints the suggestions for the last of the words, one a line, then a line `:DIRECTIVE`.
 * The words are those after `shadow`. Names of apps, nodes and volumes come from the master; without one there are none.
 */
export async function complete(
  words: readonly string[],
  verbs: Readonly<Record<string, Verb>>,
  terminal: Terminal,
): Promise<void> {
  const root = new RootCommand()
  for (const [name, { says }] of Object.entries(verbs)) root.command(name, says)
  const verb = Object.hasOwn(verbs, words[0] ?? '') ? verbs[words[0] ?? ''] : undefined
  if (verb !== undefined && words.length > 1) await addVerb(root, words, verb, terminal)
  root.parse([...words])
}

/** Adds the options, arguments and sub-verbs of the verb that is being typed. */
async function addVerb(root: RootCommand, words: readonly string[], verb: Verb, terminal: Terminal): Promise<void> {
  const [name = ''] = words
  const defined = new Command(name)
  const { define } = await verb.load()
  define(defined, terminal)
  const context = contextOf(words)
  for (const [path, command] of withSubVerbs(name, defined)) {
    const added = root.command(path, command.description())
    const isTyped = path.split(' ').every((part, index) => part === words[index])
    for (const option of command.createHelp().visibleOptions(command)) {
      const long = option.long?.replace(/^--/, '')
      if (long === undefined) continue
      if (!option.required && !option.optional) added.option(long, option.description)
      else {
        const values = long === 'context' && isTyped ? await contexts(terminal) : (option.argChoices ?? [])
        added.option(long, option.description, each(values))
      }
    }
    for (const argument of command.registeredArguments) {
      const names = isTyped ? kindOf(name, argument.name(), argument.description) : undefined
      const values = names === undefined ? (argument.argChoices ?? []) : await namesOf(names, terminal, context)
      added.argument(argument.name(), each(values), argument.variadic)
    }
  }
}

function withSubVerbs(path: string, command: Command): readonly (readonly [string, Command])[] {
  return [[path, command], ...command.commands.flatMap(sub => withSubVerbs(`${path} ${sub.name()}`, sub))]
}

/** The value of `--context` on the line. */
function contextOf(words: readonly string[]): string | undefined {
  const at = words.indexOf('--context')
  if (at >= 0) return words[at + 1]
  return words.find(word => word.startsWith('--context='))?.slice('--context='.length)
}

function kindOf(verb: string, argument: string, description: string): Names | undefined {
  if (argument === 'app' || (argument === 'name' && description.startsWith('the app'))) return 'app'
  if (argument === 'companions') return 'app'
  if (argument === 'node' || argument === 'volume') return argument
  return verb === 'context' ? 'context' : undefined
}

async function namesOf(names: Names, terminal: Terminal, context: string | undefined): Promise<readonly string[]> {
  if (names === 'context') return contexts(terminal)
  try {
    const { master } = await findTarget(terminal, { context }, NAMES_WITHIN_MS)
    return await askedOf(master, names)
  } catch {
    return [] // no master, no right to ask it, or a slow one: there is nowhere to say so while a person types
  }
}

async function askedOf(master: MasterClient, names: Exclude<Names, 'context'>): Promise<readonly string[]> {
  if (names === 'app') return (await allApps(master)).map(app => app.name)
  if (names === 'node') return (await master.call('listNodes', {})).items.map(node => node.name)
  return (await master.call('listVolumes', { query: {} })).items.map(volume => volume.id)
}

async function contexts({ env }: Terminal): Promise<readonly string[]> {
  return (await openContexts(contextsFile(env))).list().map(({ name }) => name)
}

const each =
  (values: readonly string[]) =>
  (complete: Complete): void => {
    for (const value of values) complete(value, '')
  }
