import { mapAtMost } from '../../lib/parallel.ts'
import { imageByDigest, storedImage } from '../../model/image-store.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { History } from '../history.ts'
import type { Records } from '../records.ts'

const PAGE = 500
const AT_ONCE = 16

export type NeededImages = () => Promise<ReadonlyMap<string, readonly AppName[]>>

/**
 * The images of the store that apps need, `blog@sha256:…`, with the apps: each image of a revision that an app has, or can go back to.
 * Apps that are asleep count as much as others.
 */
export const neededImages =
  ({ records, history }: { records: Records; history: Pick<History, 'list'> }): NeededImages =>
  async () => {
    const needed = new Map<string, AppName[]>()
    const note = (app: AppName, task: TaskDefinition): void => {
      const name = nameOf(task)
      const apps = name === undefined ? undefined : (needed.get(name) ?? [])
      if (name === undefined || apps === undefined || apps.includes(app)) return
      needed.set(name, [...apps, app])
    }
    let after: AppName | undefined
    do {
      const names: readonly AppName[] = await records.names(after, PAGE)
      await mapAtMost(AT_ONCE, names, async name => {
        const record = await records.read(name)
        if (record.state !== 'live') return
        for (const { task } of await history.list(record.app)) note(name, task)
      })
      after = names.length < PAGE ? undefined : names.at(-1)
    } while (after !== undefined)
    return needed
  }

/** The image of a revision, if it is in the store. */
function nameOf({ image, pinned }: TaskDefinition): string | undefined {
  const digest = pinned?.digest
  try {
    const stored = storedImage(image)
    return stored === undefined || digest === undefined ? undefined : imageByDigest(stored.repository, digest)
  } catch {
    return undefined // an older Shadow stored names that are no images
  }
}
