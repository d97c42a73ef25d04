import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { poll } from '../../lib/poll.ts'
import { isAppName, type VolumeId, volumeId } from '../../model/names.ts'
import type { Disk, EbsApi } from './ebs-api.ts'

/** Only disks with both of these tags are ours, and only ours are ever attached, detached, grown or deleted. */
export const CLUSTER_TAG = 'shadow:cluster'
export const VOLUME_TAG = 'shadow:volume'
/** `ready` once the disk has a filesystem. Before that the volume does not exist. */
const STATE_TAG = 'shadow:state'
const TOKEN_TAG = 'shadow:token'
export const READY_TAG = { [STATE_TAG]: 'ready' }

type Options = { readonly api: EbsApi; readonly cluster: string; readonly clock: Clock }

/**
 * Our disks as EC2 lists them. Lists lag behind: what this process itself has made, tagged or deleted is remembered, so that a list from
 * before does not contradict it.
 */
export class EbsDisks {
  readonly #api: EbsApi
  readonly #cluster: string
  readonly #clock: Clock
  readonly #ready = new Set<string>()
  readonly #deleted = new Set<string>()
  readonly #made = new Map<VolumeId, Disk>()

  constructor({ api, cluster, clock }: Options) {
    this.#api = api
    this.#cluster = cluster
    this.#clock = clock
  }

  /** The tags of a new disk for the volume. */
  tagsOf(volume: VolumeId, token: string): Record<string, string> {
    return {
      [CLUSTER_TAG]: this.#cluster,
      [VOLUME_TAG]: volume,
      [STATE_TAG]: 'making',
      [TOKEN_TAG]: token,
      Name: `shadow ${this.#cluster} ${volume}`,
    }
  }

  /** All disks of the volume: at most one is ready, others are left over from a creation that was cut short. */
  async of(volume: VolumeId): Promise<readonly Disk[]> {
    const tags = { [CLUSTER_TAG]: this.#cluster, [VOLUME_TAG]: volume }
    const listed = (await this.#api.disks({ tags })).filter(disk => this.#exists(disk))
    const made = this.#made.get(volume)
    return made === undefined || listed.some(({ id }) => id === made.id) ? listed : [...listed, made]
  }

  /** The disk of the volume; undefined where it was never made. Fails with `volume-broken` where there are two. */
  async readyOf(volume: VolumeId): Promise<Disk | undefined> {
    const [disk, other] = (await this.of(volume)).filter(found => this.isReady(found))
    if (disk === undefined || other === undefined) return disk
    throw new ShadowError('volume-broken', `two disks say that they are volume ${volume}: ${disk.id} and ${other.id}`, {
      hint: `look which one has the data, and remove the tag ${VOLUME_TAG} from the other one`,
    })
  }

  /** The disk that was made with this token; undefined where the list does not have it. */
  async madeWith(token: string): Promise<Disk | undefined> {
    const tags = { [CLUSTER_TAG]: this.#cluster, [TOKEN_TAG]: token }
    return (await this.#api.disks({ tags })).find(disk => this.#exists(disk))
  }

  /** The disk as it is now; undefined where the list does not have it. */
  async now({ id }: Disk): Promise<Disk | undefined> {
    return (await this.#api.disks({ id })).find(disk => this.#exists(disk))
  }

  /** Our disks that are attached to the instance. */
  async attachedTo(instance: string): Promise<readonly { readonly volume: VolumeId; readonly disk: Disk }[]> {
    const found = await this.#api.disks({ attachedTo: instance, tags: { [CLUSTER_TAG]: this.#cluster } })
    return found.flatMap(disk => {
      const volume = disk.tags[VOLUME_TAG]
      return volume !== undefined && isAppName(volume) ? [{ volume: volumeId(volume), disk }] : []
    })
  }

  isReady({ id, tags }: Disk): boolean {
    return tags[STATE_TAG] === READY_TAG[STATE_TAG] || this.#ready.has(id)
  }

  wasDeleted({ id }: Disk): boolean {
    return this.#deleted.has(id)
  }

  remember(what: 'made' | 'ready' | 'deleted', volume: VolumeId, disk: Disk): void {
    if (what === 'made') this.#made.set(volume, disk)
    if (what === 'ready') this.#ready.add(disk.id)
    if (what === 'deleted') {
      this.#deleted.add(disk.id)
      this.#made.delete(volume)
      this.#ready.delete(disk.id)
    }
  }

  /** Looks again and again, ever more seldom, until there is an answer; fails with `otherwise` after `ms`. */
  until<T>(ms: number, look: () => Promise<T | undefined>, otherwise: () => Error): Promise<T> {
    return poll(this.#clock, ms, look, otherwise)
  }

  #exists({ id, state }: Disk): boolean {
    return state !== 'deleting' && state !== 'deleted' && !this.#deleted.has(id)
  }
}
