import type { OciDigest, Repository } from '../../model/image-store.ts'
import { isOciDigest } from '../../model/image-store.ts'

// A part of a repository's name never begins with "_", so these folders are no repositories.
const BLOBS = 'images/_blobs/'
const MANIFESTS = '/_manifests/'
const TAGS = '/_tags/'
const UPLOADS = '/_uploads/'
const REFERRERS = '/_referrers/'

const named = (digest: OciDigest): string => digest.replace(':', '.')
const folder = (repository: Repository): string => `images/${repository}`

export const blobKey = (digest: OciDigest): string => `${BLOBS}${named(digest)}.json`
export const manifestsOf = (repository: Repository): string => `${folder(repository)}${MANIFESTS}`
export const manifestKey = (repository: Repository, digest: OciDigest): string =>
  `${manifestsOf(repository)}${named(digest)}.json`
export const uploadKey = (repository: Repository, id: string): string => `${folder(repository)}${UPLOADS}${id}.json`
export const referrersOf = (repository: Repository, subject: OciDigest): string =>
  `${folder(repository)}${REFERRERS}${named(subject)}/`
export const referrerKey = (repository: Repository, subject: OciDigest, digest: OciDigest): string =>
  `${referrersOf(repository, subject)}${named(digest)}.json`

/** Tags have capital letters, and keys have none. In hexadecimal they keep their order too. */
export const tagsOf = (repository: Repository): string => `${folder(repository)}${TAGS}`
export const tagKey = (repository: Repository, tag: string): string =>
  `${tagsOf(repository)}${Buffer.from(tag).toString('hex')}.json`

/** What the document with this key is. */
export type Named =
  | { readonly kind: 'blob'; readonly digest: OciDigest }
  | { readonly kind: 'manifest'; readonly repository: Repository; readonly digest: OciDigest }
  | { readonly kind: 'tag'; readonly repository: Repository; readonly tag: string }
  | { readonly kind: 'upload'; readonly repository: Repository; readonly id: string }
  | {
      readonly kind: 'referrer'
      readonly repository: Repository
      readonly subject: OciDigest
      readonly digest: OciDigest
    }

export const digestOfKey = (key: string): OciDigest | undefined => digestOf(lastOf(key))

/**
 * What the key names; undefined if it is no key of the image store.
 */
export function parseKey(key: string): Named | undefined {
  const [, place = '', kind = '', rest = ''] = /^images\/(?:(.+?)\/)?_([a-z]+)\/(.+)\.json$/.exec(key) ?? []
  const repository = place as Repository
  const digest = digestOf(lastOf(key))
  if (kind === 'blobs' && place === '' && digest) return { kind: 'blob', digest }
  if (kind === 'manifests' && digest) return { kind: 'manifest', repository, digest }
  if (kind === 'tags') return { kind: 'tag', repository, tag: tagOfKey(key) }
  if (kind === 'uploads') return { kind: 'upload', repository, id: rest }
  const subject = digestOf(rest.slice(0, rest.indexOf('/')))
  if (kind === 'referrers' && subject && digest) return { kind: 'referrer', repository, subject, digest }
  return undefined
}

export const tagOfKey = (key: string): string => Buffer.from(lastOf(key), 'hex').toString()

const lastOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1, -'.json'.length)

function digestOf(name: string): OciDigest | undefined {
  const text = name.replace('.', ':')
  return isOciDigest(text) ? text : undefined
}
