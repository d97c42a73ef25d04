import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import { imageByDigest, type Repository, storedImage } from '../model/image-store.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { isElsewhere } from '../model/session.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Caller } from './known-callers.ts'
import type { Records } from './records.ts'
import type { Volumes } from './volumes.ts'

type Named = Pick<App, 'name' | 'createdAt'>
export type Permits = ReturnType<typeof placementPermits>
type Options = {
  readonly seals: Seals
  readonly records: Records
  readonly volumes: Volumes
  readonly clock: Pick<Clock, 'wall'>
}

/** A build takes less, and images that nothing needs are kept for as long. */
const PUSHES_WITHIN_MS = 86_400_000

/**
 * Which apps a node may read: those whose volume it has leased and, while no node has the lease, those that somebody has placed on the
 * node.
 * Fronts and masters place apps. So each route has a permit, signed with the masters' key.
 * A front shows the permit to the node with a request, and the node shows it to the master. A node's token alone reads nothing and leases
 * no volume.
 */
export function placementPermits({ seals, records, volumes, clock }: Options) {
  // An app that was removed and registered again under its name is another app.
  const textOf = ({ name, createdAt }: Named): string => `permit ${name} ${createdAt}`
  const isGood = (permit: string | undefined, app: Named): boolean =>
    permit !== undefined && seals.verify(textOf(app), permit)

  const mustBePlaced = async (app: App, caller: Caller | undefined, permit: string | undefined): Promise<void> => {
    if (caller?.role !== 'node') return
    const { name } = caller
    const { volume } = app.task
    const lease = volume === undefined ? null : await volumes.leaseOf(volume.id)
    if (lease?.node === name) return
    if (!isGood(permit, app)) throw isElsewhere(app, name) ? notItsSession(app.name, name) : notPlaced(app.name, name)
    if (volume !== undefined && lease !== null) throw volumes.elsewhere(volume.id, lease)
  }

  return {
    /** The permit of the app, shown wherever the app is placed. All versions of the app have the same permit. */
    issue: (app: Named): string => seals.sign(textOf(app)),
    /** Changes with the key that signs permits. */
    get version(): string {
      return seals.id
    },
    /**
     * The task as a node gets it: with a permit to read its image, if the image is in the masters' store. A digest never names another
     * image, so this permit gives no later revision away.
     */
    withImage(task: TaskDefinition): TaskDefinition {
      const stored = storedImage(task.image)
      if (stored === undefined || task.pinned?.digest === undefined) return task
      const permit = seals.sign(imageText(stored.repository, task.pinned.digest))
      return { ...task, pinned: { ...task.pinned, permit } }
    },
    /** The permits of the apps that this app uses: the node that may wake this app wakes those too. */
    async ofCompanions({ task: { uses } }: App): Promise<Pick<App, 'permits'>> {
      if (uses === undefined) return {}
      const found = await mapAtMost(16, uses, name => records.read(name))
      const live = found.flatMap(record => (record.state === 'live' ? record.app : []))
      return { permits: Object.fromEntries(live.map(one => [one.name, seals.sign(textOf(one))])) }
    },
    /** Fails with `forbidden` if the caller is a node that shows no permit for this image. */
    mustReadImage(
      repository: Repository,
      digest: string,
      caller: Caller | undefined,
      permit: string | undefined,
    ): void {
      if (caller?.role !== 'node') return
      if (permit !== undefined && seals.verify(imageText(repository, digest), permit)) return
      throw new ShadowError(
        'forbidden',
        `the node ${caller.name} has no permit for the image ${repository}@${digest}`,
        {
          hint: 'open the app by a front, or shadow wake it',
        },
      )
    },
    /** A permit for the node to push the image that it builds for the app now. */
    forPush(app: AppName, node: NodeName): string {
      const until = clock.wall() + PUSHES_WITHIN_MS
      return `${until}.${seals.sign(pushText(app, node, until))}`
    },
    /** Fails with `forbidden` unless the caller is a node that builds for the app of this name, and shows the permit that it got for that. */
    mustPush(name: string, caller: Caller, permit: string | undefined): void {
      const [, until = '0', signature = ''] = /^(\d{1,16})\.(.+)$/.exec(permit ?? '') ?? []
      const isLate = Number(until) < clock.wall()
      if (!isLate && seals.verify(pushText(name, caller.name, Number(until)), signature)) return
      throw new ShadowError('forbidden', `the node ${caller.name} has no permit to push to ${name}`, {
        hint: 'a node pushes what it builds: shadow deploy',
      })
    },
    /** Fails with `forbidden`, or with `volume-elsewhere` if another node has the volume. */
    mustBePlaced,
    /** Does the same for the app that has the volume. */
    async mustBePlacedWith(volume: VolumeId, caller: Caller | undefined, permit: string | undefined): Promise<void> {
      if (caller?.role !== 'node') return
      const { app } = await volumes.get(volume)
      const record = app === null ? undefined : await records.read(app)
      if (record?.state !== 'live') throw notPlaced(`of the volume ${volume}`, caller.name)
      await mustBePlaced(record.app, caller, permit)
    },
  }
}

const pushText = (app: string, node: string, until: number): string => `push ${app} ${node} ${until}`
const imageText = (repository: Repository, digest: string): string => `image ${imageByDigest(repository, digest)}`

const notItsSession = (app: AppName, node: string): ShadowError =>
  new ShadowError('app-not-found', `the node ${node} has no session ${app}: another node has it`)

const notPlaced = (app: AppName | string, node: string): ShadowError =>
  new ShadowError(
    'forbidden',
    `the app ${app} is not placed on the node ${node}: it has no lease of the app's volume, and showed no permit of a front`,
    {
      hint: 'open the app by a front, or shadow wake it',
    },
  )
