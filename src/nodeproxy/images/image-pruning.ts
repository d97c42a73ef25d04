import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Mutex } from '../../lib/mutex.ts'
import { repeat } from '../../lib/repeat.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { ImageBuilder, OwnImage } from '../builds/image-builder.ts'

type Options = {
  readonly images: Pick<ImageBuilder, 'own' | 'untag'>
  /** Builds take it too: what was built before may be named again by a build. */
  readonly turn: Mutex
  readonly master: Pick<MasterClient, 'call'>
  /** The definitions that this node may wake, also without a master. */
  readonly inReach: () => readonly TaskDefinition[]
  readonly clock: Clock
  readonly log: Log
}

const LOOKED_AT_EVERY_MS = 3_600_000
/** A build comes before the release that needs it. */
const KEPT_FOR_MS = 86_400_000
/** So many names are asked for at once. */
const PAGE = 500

/**
 * Removes images of ours from this machine: those that Shadow has built or pulled from the masters, and that no release in reach of any app
 * needs, as a master says. Nothing is removed while no master answers. Images of other names are not ours.
 */
export class ImagePruning implements Disposable {
  readonly #options: Options
  #repeating: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    const { clock, log } = this.#options
    this.#repeating = repeat(
      clock,
      LOOKED_AT_EVERY_MS,
      () => this.prune(),
      cause => log.warn('images not pruned', { cause }),
    )
  }

  async prune(): Promise<void> {
    const { turn } = this.#options
    await turn.take(async () => {
      const old = await this.#old()
      for (let from = 0; from < old.length; from += PAGE) await this.#pruneSome(old.slice(from, from + PAGE))
    })
  }

  [Symbol.dispose](): void {
    this.#repeating?.[Symbol.dispose]()
  }

  /** Those that this node itself does not need, and that were named a while ago. */
  async #old(): Promise<readonly OwnImage[]> {
    const { images, inReach, clock } = this.#options
    const needed = new Set(inReach().flatMap(({ image, pinned }) => [image, pinned?.id]))
    const isOld = ({ id, name, namedAt }: OwnImage): boolean =>
      !needed.has(id) && !needed.has(name) && namedAt < clock.wall() - KEPT_FOR_MS
    return (await images.own()).filter(isOld)
  }

  async #pruneSome(old: readonly OwnImage[]): Promise<void> {
    const { images, master, log } = this.#options
    const asked = old.map(({ id, name }) => ({ id, name }))
    const { needed } = await master.call('neededImages', { body: { images: asked } })
    const stays = new Set(needed)
    for (const { name } of old) {
      if (stays.has(name)) continue
      await images.untag(name)
      log.info('image removed', { image: name })
    }
  }
}
