import { ShadowError } from '../lib/errors.ts'
import { faultOfComponent, imageReference } from './image-reference.ts'
import { MASTER_HOST } from './member.ts'
import { faultOfLabel } from './names.ts'

/** The name of a repository in Shadow's own image store: `blog`, or `blog/worker`. Its first part is the name of an app. */
export type Repository = string & { readonly brand: 'Repository' }

/** The digest of a manifest or a blob as OCI writes it: `sha256:<hex>` or `sha512:<hex>`. */
export type OciDigest = string & { readonly brand: 'OciDigest' }

/** What a repository's name may have at most, as for every image. */
const LONGEST_NAME = 255
const DIGEST_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 }

/** Parses the name of a repository; fails with `bad-input`. */
export function repository(text: string): Repository {
  const fault = faultOfRepository(text)
  if (fault !== undefined) throw new ShadowError('bad-input', `repository "${text.slice(0, 300)}": ${fault}`)
  return text as Repository
}

function faultOfRepository(text: string): string | undefined {
  if (text.length > LONGEST_NAME) return `its name has ${text.length} characters; ${LONGEST_NAME} at most`
  const parts = text.split('/')
  const app = faultOfLabel(parts[0] ?? '')
  if (app !== undefined) return `its first part is the name of an app: ${app}`
  return parts.map(faultOfComponent).find(fault => fault !== undefined)
}

/** Parses a digest; fails with `bad-input`. */
export function ociDigest(text: string): OciDigest {
  if (!isOciDigest(text))
    throw new ShadowError('bad-input', `"${text.slice(0, 150)}" is no digest: sha256: and 64 of 0-9 and a-f`)
  return text
}

/** Whether the text is a digest of an algorithm that the image store takes. */
export function isOciDigest(text: string): text is OciDigest {
  const [, algorithm = '', hex = ''] = /^([a-z0-9]+):([0-9a-f]+)$/.exec(text) ?? []
  return Object.hasOwn(DIGEST_LENGTHS, algorithm) && hex.length === DIGEST_LENGTHS[algorithm]
}

/** An image in Shadow's own store. */
export type StoredImage = {
  readonly repository: Repository
  readonly tag: string
  readonly digest?: OciDigest | undefined
}

/**
 * The image in Shadow's own store that the name means: `master.shadow/blog:3`. Undefined for an image of another registry, and of the
 * machine. Fails with `bad-input` if it is not a name of an image.
 */
export function storedImage(image: string): StoredImage | undefined {
  const { domain, path, tag, digest } = imageReference(image)
  if (domain.replace(/:\d+$/, '') !== MASTER_HOST) return undefined
  return {
    repository: repository(path),
    tag: tag ?? 'latest',
    ...(digest !== undefined && { digest: ociDigest(digest) }),
  }
}

/** The name of the image with its digest, as a permit to read it says it. */
export const imageByDigest = (name: Repository, digest: string): string => `${name}@${digest}`
