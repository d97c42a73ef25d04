import { imageReference } from '../../model/image-reference.ts'

/** An image's name as Docker's API wants it: the registry whose credentials to send, and the name with its tag or digest. */
export type ImageName = { readonly registry: string; readonly full: string }

const DOCKER_HUB = 'https://index.docker.io/v1/'

/**
 * Parses an image's name; fails with `bad-input`. Without a tag or digest it is `latest`: Docker's API would pull every tag there is.
 */
export function imageName(image: string): ImageName {
  const { domain, tag, digest } = imageReference(image)
  return {
    registry: domain === 'docker.io' ? DOCKER_HUB : domain,
    full: digest === undefined && !image.endsWith(`:${tag}`) ? `${image}:${tag}` : image,
  }
}

/** The name as a path of Docker's API: each part escaped, the slashes between them kept. */
export const imagePath = (image: string): string => imageName(image).full.split('/').map(encodeURIComponent).join('/')

/** The name as the query of a pull: a digest goes where a tag does. */
export function pullQuery(image: string): { readonly fromImage: string; readonly tag: string } {
  const { full } = imageName(image)
  const at = full.includes('@') ? full.indexOf('@') : full.lastIndexOf(':')
  return { fromImage: full.slice(0, at), tag: full.slice(at + 1) }
}

/** The name with a digest in place of its tag. */
export function byDigest(image: string, digest: string): string {
  const [named = ''] = image.split('@')
  return `${named.replace(/:[^:/]*$/, '')}@${digest}`
}
