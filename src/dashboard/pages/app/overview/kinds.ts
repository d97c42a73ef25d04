import type { EventKind } from '../../../../model/timeline.ts'

/** What the filter of the timeline offers. */
export const KIND_GROUPS: readonly {
  readonly name: string
  readonly text: string
  readonly kinds: readonly EventKind[]
}[] = [
  { name: 'wakes', text: 'Wakes', kinds: ['wake'] },
  { name: 'sleeps', text: 'Sleeps', kinds: ['sleep'] },
  { name: 'problems', text: 'Crashes and problems', kinds: ['crash', 'problem'] },
  { name: 'releases', text: 'Releases', kinds: ['deploy', 'rollback', 'update'] },
  { name: 'data', text: 'Snapshots and backups', kinds: ['snapshot', 'backup', 'restore'] },
  { name: 'moves', text: 'Moves', kinds: ['move'] },
]

/** The kinds of the groups that are named with commas between them, as the master takes them; undefined: all. */
export function kindsOf(names: string): string | undefined {
  const chosen = names.split(',')
  const kinds = KIND_GROUPS.filter(({ name }) => chosen.includes(name)).flatMap(group => group.kinds)
  return kinds.length === 0 ? undefined : kinds.join()
}

/** The names with this one added, or taken away if it was there. */
export function toggled(names: string, name: string): string {
  const chosen = names.split(',').filter(Boolean)
  return (chosen.includes(name) ? chosen.filter(other => other !== name) : [...chosen, name]).join()
}
