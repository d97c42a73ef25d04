import { ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import { MOST_TOGETHER } from '../model/companions.ts'
import type { AppName } from '../model/names.ts'
import type { Needs } from '../model/placement.ts'
import { NO_PLACE, needsOf, type VolumePlace } from '../model/route.ts'
import { isUsual } from '../model/scale.ts'
import { homeOf } from '../model/session.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Records } from './records.ts'
import { retryOnConflict } from './retry.ts'
import type { Volumes } from './volumes.ts'

type Parts = { readonly records: Records; readonly volumes: Pick<Volumes, 'placeOf'> }
/** Where an app runs, by its volume and by those of the apps that it hangs together with. */
export type PlacementOf = { readonly place: VolumePlace; readonly needs: Needs }

export type AppCompanions = ReturnType<typeof appCompanions>

/**
 * Apps that use others. The definition of an app says which ones it uses; that is what counts. The document of each of those has the names of
 * its users too, so that nobody has to read all apps to find them: a name is written there before the definition of the user is, and is looked
 * up again whenever it matters.
 */
export function appCompanions({ records, volumes }: Parts) {
  const find = async (name: AppName): Promise<App | undefined> => {
    const record = await records.read(name)
    return record.state === 'live' ? record.app : undefined
  }

  const usersOf = async ({ name, usedBy = [] }: Pick<App, 'name' | 'usedBy'>): Promise<readonly App[]> => {
    const found = await mapAtMost(16, usedBy, find)
    return found.flatMap(app => (app?.task.uses?.includes(name) ? app : []))
  }

  /** All apps that hang together with this one, by what they use and by who uses them; this one first. */
  const together = async (app: App): Promise<readonly App[]> => {
    const found = new Map<AppName, App>([[app.name, app]])
    for (const one of found.values()) {
      const used = await mapAtMost(
        16,
        (one.task.uses ?? []).filter(name => !found.has(name)),
        find,
      )
      for (const other of [...used, ...(await usersOf(one))])
        if (other !== undefined && !found.has(other.name)) found.set(other.name, other)
      if (found.size > MOST_TOGETHER)
        throw refused(app, `it would hang together with more than ${MOST_TOGETHER} apps by its companions`)
    }
    return [...found.values()]
  }

  /** The places of all volumes that no other node can have now. */
  const bound = async (apps: readonly App[]) => {
    const places = await mapAtMost(16, apps, async one => ({
      app: one,
      place: one.task.volume === undefined ? NO_PLACE : await volumes.placeOf(one.task.volume.id),
    }))
    return places.flatMap(({ app, place }) => (place.node === null ? [] : { app, place, node: place.node }))
  }

  /** Fails with `bad-input` if the volumes of apps that hang together are on the disks of several nodes. */
  const mustBeOnOneNode = async (app: App, apps: readonly App[]): Promise<void> => {
    const local = (await bound(apps)).filter(({ place }) => place.isLocal)
    const [first, other] = [local[0], local.find(({ node }) => node !== local[0]?.node)]
    if (first === undefined || other === undefined) return
    const says = [first, other].map(one => `the volume of ${one.app.name} is on ${one.node}`).join(', and ')
    throw refused(
      app,
      `${says}: apps that use one another run on one node`,
      `shadow move ${other.app.name} ${first.node}`,
    )
  }

  return {
    usersOf,

    /** Fails with `bad-input` if the app cannot use what it says it uses. */
    async check(app: App): Promise<void> {
      const { name, task, scale } = app
      const { uses = [] } = task
      if (uses.length === 0 && app.usedBy === undefined) return
      if (scale !== undefined && !isUsual(scale)) throw scaled(app, name)
      if (uses.length === 0) return
      if (uses.includes(name)) throw refused(app, 'it cannot use itself')
      for (const companion of uses) {
        const found = await find(companion)
        if (found === undefined)
          throw refused(app, `no app is called ${companion}`, `make it first: shadow register ${companion} ...`)
        if (found.scale !== undefined && !isUsual(found.scale)) throw scaled(app, companion)
      }
      const circle = await circleFrom(name, uses, find)
      if (circle !== undefined) throw refused(app, `they would use one another in a circle: ${circle.join(' → ')}`)
      await mustBeOnOneNode(app, await together(app))
    },

    /** Writes the app's name into the documents of those that it begins to use; called before the app's own document is written. */
    async note({ name, task: { uses = [] } }: App): Promise<void> {
      for (const companion of uses)
        await change(companion, ({ usedBy = [] }) => (usedBy.includes(name) ? usedBy : [...usedBy, name]))
    },

    /** Takes the app's name out of the documents of those that it does not use any more; called afterwards. */
    async forget(name: AppName, before: TaskDefinition, after: TaskDefinition | undefined): Promise<void> {
      const left = (before.uses ?? []).filter(companion => after?.uses?.includes(companion) !== true)
      for (const companion of left) await change(companion, ({ usedBy = [] }) => usedBy.filter(user => user !== name))
    },

    /** Fails with `companion-in-use` if other apps use the app. */
    async mustBeFree(app: App): Promise<void> {
      const users = await usersOf(app)
      if (users.length === 0) return
      const names = users.map(({ name }) => name)
      throw new ShadowError('companion-in-use', `${names.join(', ')} uses ${app.name}`, {
        hint: names.map(user => `shadow detach ${user} ${app.name}`).join('; '),
      })
    },

    /** Fails with `bad-input` if the move would part the app from others whose volumes stay. */
    async mustMoveAlone(app: App): Promise<void> {
      const others = (await bound((await together(app)).filter(({ name }) => name !== app.name))).filter(
        ({ place }) => place.isLocal,
      )
      const [other] = others
      if (other === undefined) return
      throw refused(
        app,
        `it and ${other.app.name} use one another, whose volume stays on ${other.node}`,
        `detach them, move both, and attach them again: shadow detach`,
      )
    },

    /** Where the app runs: where its volume is, else where the volume of an app is that it hangs together with. */
    async placementOf(app: App): Promise<PlacementOf> {
      const { place, needs } = await placementOf(app)
      const home = homeOf(app)
      const labels = app.session?.pool
      return { place, needs: { ...needs, ...(home !== undefined && { home }), ...(labels && { labels }) } }
    },
  }

  async function placementOf(app: App): Promise<PlacementOf> {
    const { task, usedBy } = app
    const own = task.volume === undefined ? NO_PLACE : await volumes.placeOf(task.volume.id)
    if (task.uses === undefined && (usedBy === undefined || usedBy.length === 0))
      return { place: own, needs: needsOf(task, own) }
    const apps = await together(app)
    const others = (await bound(apps)).toSorted((a, b) => Number(b.place.isLocal) - Number(a.place.isLocal))
    const home = own.node === null ? others[0] : undefined
    const place = home === undefined ? own : { ...home.place, zone: home.place.zone ?? own.zone }
    // Those that it wakes need their memory too.
    const wakes = apps.filter(({ name }) => name !== app.name && task.uses?.includes(name))
    return { place, needs: needsOf(task, place, { home: home?.app.task, wakes: wakes.map(one => one.task) }) }
  }

  function change(name: AppName, next: (app: App) => readonly AppName[]): Promise<void> {
    return retryOnConflict(async () => {
      const record = await records.read(name)
      if (record.state !== 'live') return
      const usedBy = next(record.app)
      if (usedBy.length === (record.app.usedBy ?? []).length) return
      await records.write({ ...record.app, usedBy: usedBy.length === 0 ? undefined : usedBy }, record)
    })
  }
}

/** The names on the way from the app back to itself, by what apps use. */
async function circleFrom(
  name: AppName,
  uses: readonly AppName[],
  find: (name: AppName) => Promise<App | undefined>,
): Promise<readonly AppName[] | undefined> {
  const seen = new Set<AppName>()
  const ways: (readonly AppName[])[] = uses.map(companion => [name, companion])
  for (const way of ways) {
    const last = way.at(-1) as AppName
    if (last === name) return way
    if (seen.has(last)) continue
    seen.add(last)
    ways.push(...((await find(last))?.task.uses ?? []).map(next => [...way, next]))
  }
  return undefined
}

function refused({ name }: App, why: string, hint?: string): ShadowError {
  const faults = [{ field: 'uses', message: why }]
  return new ShadowError('bad-input', `uses of ${name}: ${why}`, { faults, ...(hint !== undefined && { hint }) })
}

const scaled = (app: App, which: AppName): ShadowError =>
  refused(
    app,
    `${which} has rules of scaling, and apps that use one another have one instance each`,
    `shadow scale ${which} --min default --max default --concurrency default --target-cpu default`,
  )
