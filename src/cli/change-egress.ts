import type { MasterClient } from '../api/client.ts'
import { type Fault, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { type Egress, egress, namesDomains } from '../model/egress.ts'
import { updateApp } from './change-app.ts'
import { mustBeThere, parsedFlag } from './command-options.ts'

const NONE = 'none' as Egress

/** Adds allowances to what an app may reach, or takes some away, as one update; tried again where somebody else changed the list in between. */
export async function updateEgress(
  master: MasterClient,
  name: string,
  change: { readonly add: readonly string[] } | { readonly remove: readonly string[] },
): Promise<App> {
  const faults: Fault[] = []
  const given = ('add' in change ? change.add : change.remove).flatMap(
    text => parsedFlag('egress', egress, text, faults) ?? [],
  )
  if (faults.length > 0) throw new ShadowError('bad-input', 'what it may reach is not well written', { faults })
  return updateApp(master, name, ({ task: { egress: before = [] } }) => ({
    egress: 'add' in change ? added(name, before, given) : removed(name, before, given),
  }))
}

function added(name: string, before: readonly Egress[], given: readonly Egress[]): readonly Egress[] {
  if (given.includes('internet' as Egress))
    throw new ShadowError('bad-input', 'the internet is not one more: it takes the place of domains and of none', {
      hint: `shadow update ${name} --egress internet`,
    })
  return [...new Set([...before, ...given])]
}

/** An app that was kept to some domains is not let into the internet because the last of them goes. */
function removed(name: string, before: readonly Egress[], given: readonly Egress[]): readonly Egress[] {
  const absent = given.filter(one => !before.includes(one))
  mustBeThere(
    name,
    absent.map(one => ({ field: 'egress', message: `${one} is not among what it may reach` })),
  )
  const after = before.filter(one => !given.includes(one))
  return namesDomains(before) && !namesDomains(after) && !after.includes(NONE) ? [NONE, ...after] : after
}
