import { isDeepStrictEqual } from 'node:util'
import type { App } from '../model/app.ts'
import { hasNoRule, sayRule, type WakeRules } from '../model/wake-rules.ts'

/** The rules to store in an app's document. Those of an app that says nothing are stored as none. */
export const wakeRulesOf = (said: WakeRules | undefined): Pick<App, 'wake'> => {
  if (said === undefined || hasNoRule(said)) return { wake: undefined }
  const rules = new Map(said.ignore.map(rule => [sayRule(rule), rule]))
  return { wake: { ignore: [...rules.values()], answers: [...new Set(said.answers)] } }
}

/** Whether both apps have the same rules. */
export const sameWakeRules = (one: Pick<App, 'wake'>, other: Pick<App, 'wake'>): boolean =>
  isDeepStrictEqual(sorted(one), sorted(other))

const sorted = ({ wake }: Pick<App, 'wake'>): unknown =>
  wake && [wake.ignore.map(sayRule).toSorted(), wake.answers.toSorted()]
