import type { Definition } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { isRunning } from '../../model/instance.ts'
import type { AppName } from '../../model/names.ts'
import { toBytes } from '../../model/quantities.ts'
import type { Made } from '../../model/release.ts'
import { type Compared, changesBetween, type ReleaseChange } from '../../model/release-changes.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Expected } from '../app-writes.ts'
import { definitionOf } from '../definition.ts'
import type { Digests } from '../digests.ts'
import type { History, Kept } from '../history.ts'
import type { Relay } from '../relay.ts'
import type { NextRelease } from './next.ts'
import type { SecretDocuments } from './secret-documents.ts'

type Parts = {
  history: History
  secrets: SecretDocuments
  digests: Digests
  relay: Relay
  next: NextRelease
}

/** A release as people see it: with digests in place of values. */
type Seen = Kept & Compared

export type Releases = ReturnType<typeof appReleases>

/** The releases of apps: what they are, how they differ, and going back to one. */
export function appReleases({ history, secrets, digests, relay, next }: Parts) {
  const seen = async (release: Kept): Promise<Seen> => {
    const { app, secretsVersion } = release.task
    return {
      ...release,
      task: digests.hide(release.task),
      secrets: digests.of(await secrets.read(app, secretsVersion)),
    }
  }

  /** The revisions that instances run now, whether the current one was rejected, and the nodes that did not answer. */
  const running = async (app: App) => {
    const { items, silent } = await relay.instances()
    const own = items.filter(one => one.app === app.name)
    return {
      serving: new Set(own.filter(({ phase }) => isRunning(phase)).map(({ revision }) => revision)),
      rejected: new Set(own.flatMap(one => one.rejected?.revision ?? [])),
      silent,
    }
  }
  type Running = Awaited<ReturnType<typeof running>>

  const viewOf = ({ task, outcome }: Kept, current: number, { serving, rejected }: Running) => ({
    revision: task.revision,
    createdAt: task.createdAt,
    made: task.made ?? null,
    image: task.image,
    digest: task.pinned?.digest ?? task.pinned?.id ?? null,
    secretsVersion: task.secretsVersion ?? null,
    isCurrent: task.revision === current,
    serves: serving.has(task.revision),
    outcome:
      outcome ??
      (serving.has(task.revision) ? ('ready' as const) : rejected.has(task.revision) ? ('rejected' as const) : null),
  })

  /** The release to go back to if none is named: the last one that was ready and is not the same as the current one. */
  const lastGood = async (app: App): Promise<Kept> => {
    const { serving } = await running(app)
    const before = (await history.list(app)).filter(({ task }) => task.revision < app.task.revision)
    for (const one of before)
      if ((one.outcome === 'ready' || serving.has(one.task.revision)) && !(await isSame(app, one))) return one
    const names = before.map(({ task }) => task.revision).join(', ')
    throw new ShadowError(
      'not-found',
      `no release of ${app.name} before the current one is known to have been ready and to differ from it`,
      {
        hint:
          before.length > 0 ? `name one: shadow rollback ${app.name} REV, of ${names}` : `it has had one release only`,
      },
    )
  }

  const isSame = async (app: App, other: Kept): Promise<boolean> =>
    changesBetween(await seen({ task: app.task }), await seen(other)).every(({ field }) => field === 'secretsVersion')

  return {
    async list(app: App) {
      const [items, now] = await Promise.all([history.list(app), running(app)])
      const all = await Promise.all(items.map(seen))
      const views = all.map((one, at) => ({
        ...viewOf(one, app.task.revision, now),
        changes: withoutDigests(all[at + 1] === undefined ? [] : changesBetween(all[at + 1] as Seen, one)),
      }))
      return { items: views, silent: now.silent }
    },

    async get(app: App, revision: number) {
      const [release, now] = await Promise.all([history.get(app, revision), running(app)])
      const { secrets: digestsOf } = await seen(release)
      return { ...viewOf(release, app.task.revision, now), task: release.task, secrets: digestsOf }
    },

    async diff(app: App, { from, to = app.task.revision }: { from?: number | undefined; to?: number | undefined }) {
      const before = from ?? (await history.list(app)).find(({ task }) => task.revision < to)?.task.revision
      if (before === undefined)
        throw new ShadowError('not-found', `${app.name} has no release before ${to} to compare it with`, {
          hint: `shadow releases ${app.name}`,
        })
      const [one, other] = await Promise.all([history.get(app, before), history.get(app, to)])
      return { from: before, to, changes: [...changesBetween(await seen(one), await seen(other))] }
    },

    /** Makes a release with the definition, the image and the secrets of an earlier one. */
    async rollback(
      name: AppName,
      {
        to,
        made,
        ...options
      }: { to: number | undefined; made: Omit<Made, 'by' | 'to'>; expected: Expected; signal: AbortSignal },
    ) {
      let went = { from: 0, to: 0 }
      const { app } = await next(
        name,
        async now => {
          if (to === now.task.revision)
            throw new ShadowError('bad-input', `release ${to} of ${name} is the current one`, {
              hint: `shadow releases ${name}`,
            })
          const { task } = to === undefined ? await lastGood(now) : await history.get(now, to)
          went = { from: now.task.revision, to: task.revision }
          return {
            definition: definitionFor(now, task),
            image: { pinned: task.pinned },
            secrets: { version: task.secretsVersion },
            made: { ...made, by: 'rollback', to: task.revision },
          }
        },
        options,
      )
      return { app, ...went }
    },
  }
}

/** The definition of an earlier release for the app of now: its domains stay, and its volume does not shrink. */
function definitionFor(now: App, task: TaskDefinition): Definition {
  const had = definitionOf({ domains: now.domains, task }) as Definition
  const { volume } = now.task
  const isLarger = had.volume && volume && toBytes(volume.size) > toBytes(had.volume.size)
  return isLarger && had.volume ? { ...had, volume: { ...had.volume, size: volume.size } } : had
}

/** A list of releases says which variables and secrets changed, and no more of them. */
const withoutDigests = (changes: readonly ReleaseChange[]): ReleaseChange[] =>
  changes.map(change => {
    if (!/^(env|secrets)\./.test(change.field)) return change
    const { field } = change
    return { field, ...('before' in change && { before: 'set' }), ...('after' in change && { after: 'set' }) }
  })
