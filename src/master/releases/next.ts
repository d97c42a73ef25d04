import type { Definition } from '../../api/schemas.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { AppName } from '../../model/names.ts'
import type { Made, Outcome } from '../../model/release.ts'
import type { PinnedImage, TaskDefinition } from '../../model/task.ts'
import { type AppWrites, attempts, type Expected, type Found } from '../app-writes.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Claims } from '../claims.ts'
import { domainsOf, sameDefinition, taskOf } from '../definition.ts'
import type { History } from '../history.ts'
import type { ImagePins } from '../images/pins.ts'
import { carryLater } from '../later-fields.ts'
import type { Relay } from '../relay.ts'
import { changedSecrets, differentNames, mustBeFew, mustNotClash } from './secret-changes.ts'
import type { SecretChanges, SecretDocuments } from './secret-documents.ts'

/** What the next release of an app is to be. */
export type Plan = {
  readonly definition: Definition
  /** `kept`: the image that runs now, as long as the definition names it; `named`: what its name stands for now; else the image of a release. */
  readonly image: 'kept' | 'named' | { readonly pinned: PinnedImage | undefined }
  /** Changes, on top of what is staged; or the version of a release: then what is staged stays staged. */
  readonly secrets: { readonly changes: SecretChanges } | { readonly version: number | undefined }
  readonly made: Made
}

type Parts = {
  writes: AppWrites
  claims: Claims
  history: History
  secrets: SecretDocuments
  changes: ChangeStream
  relay: Relay
  images: ImagePins
  log: Log
  appsDomain: Hostname
  /** Called before a release is written; if it fails, the app stays as it is. */
  beforeChange: (app: App, signal: AbortSignal) => Promise<void>
}

type Options = { readonly expected: Expected; readonly signal: AbortSignal }
export type NextRelease = ReturnType<typeof nextRelease>

/**
 * Makes the next release of an app. One conditional write of the app's own document decides. The secrets and the release before are stored
 * before that write. Old releases and secrets are removed after it. So a master may die at any point in between.
 */
export function nextRelease({
  writes,
  claims,
  history,
  secrets,
  changes,
  relay,
  images,
  log,
  appsDomain,
  beforeChange,
}: Parts) {
  /** The secrets of the next release, and whether they have to be stored. */
  const secretsOf = async ({ task, name, staged }: App, plan: Plan['secrets'], revision: number) => {
    const before = await secrets.read(name, task.secretsVersion)
    if ('version' in plan) {
      const values = await secrets.read(name, plan.version)
      return { values, changed: differentNames(before, values), version: plan.version, staged }
    }
    const all = { ...(await secrets.readStaged(name, staged)), ...plan.changes }
    const values = changedSecrets(before, all, revision)
    const changed = differentNames(before, values)
    return {
      values,
      changed,
      version: changed.length === 0 ? task.secretsVersion : ('new' as const),
      staged: undefined,
    }
  }

  /** Which image the next revision runs, and what became of the current one. Fails if the revision cannot be run. */
  const imageOf = async (before: App, asked: TaskDefinition, plan: Plan['image'], signal: AbortSignal) => {
    const { pinned: pinnedBefore } = before.task
    const keeps = plan === 'kept' && asked.image === before.task.image
    const fixed = typeof plan === 'object' ? plan.pinned : keeps ? pinnedBefore : await images.pinOf(asked)
    const checked = await relay.check(before, { ...asked, pinned: fixed }, signal)
    // A node that does not know this revision yet tells of an earlier one.
    const isOfThis = checked?.revision === undefined || checked.revision === before.task.revision
    const ran = pinnedBefore ?? (isOfThis ? checked?.ran : undefined) ?? undefined
    const pinned = keeps ? ran : (fixed ?? checked?.image ?? undefined)
    return { pinned, ran, outcome: outcomeOf(checked, before.task.revision) }
  }

  /** An unchanged definition with unchanged secrets makes no release: then the app is returned as it is. */
  return (name: AppName, plan: (now: App) => Plan | Promise<Plan>, { expected, signal }: Options): Promise<Found> =>
    attempts(expected, async mustMatch => {
      const before = await writes.find(name)
      mustMatch(before)
      const { definition, image, secrets: wanted, made } = await plan(before.app)
      const at = writes.after(before.app.updatedAt)
      const revision = before.app.task.revision + 1
      const domains = domainsOf(name, definition, appsDomain)
      const asked = taskOf(name, revision, definition, at)
      const next = await secretsOf(before.app, wanted, revision)
      mustNotClash(name, asked.env, next.values)
      mustBeFew(name, next.values)
      const isSame = sameDefinition({ ...before.app, domains, task: asked }, before.app) && next.changed.length === 0
      if (isSame && image === 'kept') return before
      const { pinned, ran, outcome } = await imageOf(before.app, asked, image, signal)
      // The same tag makes a new revision if it now names another image than the one that ran.
      if (isSame && (pinned === undefined || ran === undefined || ran.id === pinned.id)) return before
      const gained = domains.filter(domain => !before.app.domains.includes(domain))
      const dropped = await claims.known(
        name,
        before.app.domains.filter(domain => !domains.includes(domain)),
      )
      await beforeChange(before.app, signal)
      await history.keep({ ...before.app.task, pinned: ran }, outcome)
      const write = async (secretsVersion: number | undefined): Promise<Found> => {
        const task = { ...carryLater(before.app.task), ...asked, pinned, secretsVersion, made }
        const app: App = { ...before.app, domains, task, staged: next.staged, updatedAt: at }
        return { app, etag: await writes.commit(app, gained, { state: 'live', ...before }) }
      }
      const found = await (next.version === 'new' ? secrets.storing(name, next.values, write) : write(next.version))
      await writes.afterwards('dropped domains', name, dropped.release)
      await writes.afterwards('volume record', name, () => writes.ownVolume(before.app, found.app))
      await writes.afterwards('uses', name, () => writes.forgetUses(name, before.app, found.app))
      changes.changed(found.app)
      log.info('app changed', { app: name, domains, revision, by: made.by })
      await writes.afterwards('old releases', name, () => prune(found.app))
      return found
    })

  async function prune(app: App): Promise<void> {
    const kept = await history.prune(app)
    const inUse = [...kept.map(({ task }) => task.secretsVersion), app.staged].filter(one => one !== undefined)
    await secrets.prune(app.name, new Set(inUse))
  }
}

function outcomeOf(checked: Awaited<ReturnType<Relay['check']>>, revision: number): Outcome | undefined {
  if (checked?.revision !== revision) return undefined // the node does not know this revision yet, or no node answered
  if (checked.rejected) return 'rejected'
  return checked.ran === null ? undefined : 'ready'
}
