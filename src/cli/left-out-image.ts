import { isBuiltTag } from '../model/build.ts'
import { storedImage } from '../model/image-store.ts'

/** Whether the image is in the store of the masters, and so in no other registry. */
export function isOfTheStore(image: string): boolean {
  try {
    return storedImage(image) !== undefined
  } catch {
    return false // an older Shadow stored names that are no images
  }
}

/** For people: an archive has no image, and another Shadow has no image of this store. */
export function sayLeftOut(app: string, image: string): string {
  const isBuilt = isBuiltTag(storedImage(image)?.tag ?? '')
  const mend = isBuilt
    ? `after the import, deploy its folder there: shadow deploy --app ${app}`
    : `push it there before the import: docker push HOST:8080/${image.slice(image.indexOf('/') + 1)}`
  return `its image ${image} is not in the archive; ${mend}\n`
}
