import type { Command } from 'commander'
import { type Fault, ShadowError } from '../lib/errors.ts'
import {
  answerPath,
  ignoreRule,
  MOST_ANSWERS,
  MOST_IGNORE_RULES,
  NO_WAKE_RULES,
  sayRule,
  USUAL_ANSWERS,
  type WakeRules,
} from '../model/wake-rules.ts'
import { collect, mustBeThere, parsedFlag } from './command-options.ts'
import { facts } from './print.ts'
import type { Terminal } from './terminal.ts'

/** Flags of `wake-rules` as commander gives them. */
export type WakeFlags = {
  readonly ignore?: readonly string[]
  readonly answer?: readonly string[]
  readonly forget?: readonly string[]
  readonly clear?: true
}

/** Adds the flags that say which requests do not wake an app. */
export const wakeOptions = (command: Command): Command =>
  newWakeOptions(command)
    .option('--forget <rule>', 'take a rule or a path away; may be repeated', collect)
    .option('--clear', 'take away all rules that are not given along with it')

/** The same flags for an app that has no rules yet. */
export const newWakeOptions = (command: Command): Command =>
  command
    .option('--ignore <rule>', 'requests that do not wake it: "path:/wp-*", "agent:bot"; may be repeated', collect)
    .option('--answer <path>', 'a path whose last answer is given while it sleeps; may be repeated: /healthz', collect)

export const changesWakeRules = ({ ignore, answer, forget, clear }: WakeFlags): boolean =>
  [ignore, answer, forget, clear].some(flag => flag !== undefined)

/**
 * Applies the flags to the rules `now`. Fails with `bad-input`, which names every wrong flag, or with `not-found`, which names every
 * `--forget` of a rule that is not there.
 */
export function withWakeFlags(flags: WakeFlags, app: string, now: WakeRules = NO_WAKE_RULES) {
  const faults: Fault[] = []
  const parsed = <T>(flag: string, parse: (text: string) => T, given: readonly string[] = []): readonly T[] =>
    given.flatMap(text => parsedFlag(flag, parse, text, faults) ?? [])
  const ignore = parsed('--ignore', ignoreRule, flags.ignore)
  const answers = parsed('--answer', answerPath, flags.answer)
  const forgotten = parsed('--forget', text => (text.startsWith('/') ? text : sayRule(ignoreRule(text))), flags.forget)
  const before = flags.clear ? NO_WAKE_RULES : now
  const rules = new Map([...before.ignore, ...ignore].map(rule => [sayRule(rule), rule]))
  const paths = new Set([...before.answers, ...answers])
  const there = [...now.ignore.map(sayRule), ...now.answers]
  for (const one of forgotten) {
    rules.delete(one)
    paths.delete(one)
  }
  if (rules.size > MOST_IGNORE_RULES)
    faults.push({ field: '--ignore', message: `it would have ${rules.size} rules; the most is ${MOST_IGNORE_RULES}` })
  if (paths.size > MOST_ANSWERS)
    faults.push({ field: '--answer', message: `it would have ${paths.size} paths; the most is ${MOST_ANSWERS}` })
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  const absent = forgotten.filter(one => !there.includes(one))
  mustBeThere(
    app,
    absent.map(one => ({ field: '--forget', message: `it has no rule "${one}"` })),
  )
  return { ignore: [...rules.values()], answers: [...paths] }
}

/** The rules as people read them. */
export const sayWakeRules = (terminal: Terminal, { ignore, answers }: WakeRules = NO_WAKE_RULES): string =>
  facts(terminal, [
    ['do not wake it', ignore.map(sayRule).join('\n') || 'nothing: every request wakes it'],
    ['last answers', [...USUAL_ANSWERS, ...answers].join('\n')],
  ])
