import { mapAtMost } from '../../lib/parallel.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { History } from '../history.ts'
import type { Records } from '../records.ts'

const PAGE = 200

export type Needed = ReturnType<typeof neededByReleases>

/**
 * What releases in reach need: their images, sources and blobs are in their task definitions. Nothing of that may be removed. A sleeping app
 * needs its current release as an awake one does, and so every app counts.
 *
 * A caller that removes the rest has to let the walk end first. If the walk fails, nothing is known, and nothing may be removed. The walk may
 * miss a release that is made meanwhile. So a caller also spares what was stored after the walk began or shortly before it: the release
 * that needs it may be still to come.
 */
export function neededByReleases({ records, history }: { records: Records; history: History }) {
  /** The releases in reach of at most `limit` apps. */
  const page = async (after: AppName | undefined, limit: number) => {
    const names = await records.names(after, limit)
    const found = await mapAtMost(8, names, async (name): Promise<readonly TaskDefinition[]> => {
      const record = await records.read(name)
      return record.state === 'live' ? (await history.list(record.app)).map(({ task }) => task) : []
    })
    return { tasks: found.flat(), next: names.length === limit ? (names.at(-1) ?? null) : null }
  }

  /** The releases in reach of all apps, one by one. */
  async function* all(): AsyncGenerator<TaskDefinition> {
    let after: AppName | undefined
    do {
      const { tasks, next } = await page(after, PAGE)
      yield* tasks
      after = next ?? undefined
    } while (after !== undefined)
  }

  return {
    page,
    all,
    /** The names of those images that a release in reach needs, by their name or by what they are. */
    async among(images: readonly { readonly name: string; readonly id: string }[]): Promise<readonly string[]> {
      const found = new Set<string | undefined>()
      for await (const { image, pinned } of all()) found.add(image).add(pinned?.id)
      return images.filter(({ name, id }) => found.has(name) || found.has(id)).map(({ name }) => name)
    },
  }
}
