import type { ImageCollection } from './images/collection.ts'
import type { SourceCollection } from './sources/source-collection.ts'

type Parts = {
  readonly images: ImageCollection
  readonly sources: SourceCollection
}
export type StoreCollection = ReturnType<typeof storeCollection>

/** Removes what no app needs from the store: images, and then sources. */
export const storeCollection = ({ images, sources }: Parts) => ({
  async collect(olderThanMs: number, options: { dryRun: boolean }) {
    return { ...(await images.collect(olderThanMs, options)), ...(await sources.collect(olderThanMs, options)) }
  },
})
