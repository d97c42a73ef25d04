import { ShadowError } from '../lib/errors.ts'

/** A reference to a container image, taken apart and normalised: `ghost` is `docker.io/library/ghost:latest`. */
export type ImageReference = {
  readonly domain: string
  readonly path: string
  /** Undefined where a digest is given without a tag. */
  readonly tag: string | undefined
  /** `sha256:<hex>` */
  readonly digest: string | undefined
}

const DEFAULT_DOMAIN = 'docker.io'
const LEGACY_DEFAULT_DOMAIN = 'index.docker.io'
// The limits and patterns of github.com/distribution/reference: reference.go, regexp.go, normalize.go; digests: opencontainers/go-digest.
const LONGEST_NAME = 255
const LONGEST_TAG = 128
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])$/
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const DIGEST_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 }

/** Parses an image's name by the grammar of the CNCF distribution project; fails with `bad-input`, which names the part that is wrong. */
export function imageReference(text: string): ImageReference {
  const fail = (why: string): never => {
    throw new ShadowError('bad-input', `image "${text.slice(0, 300)}": ${why}`)
  }
  if (text === '') fail('it is empty; write it like ghost, ghost:6 or ghcr.io/anna/blog:2')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
    fail('leave the scheme away; a registry is named by its host alone, like ghcr.io/anna/blog')
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  const named = at < 0 ? text : text.slice(0, at)
  const colon = named.lastIndexOf(':')
  // A colon before the last slash belongs to the registry's port.
  const isTagged = colon > named.lastIndexOf('/')
  const tag = isTagged ? named.slice(colon + 1) : undefined
  const name = isTagged ? named.slice(0, colon) : named

  const { domain, path } = split(name)
  if (domain !== undefined) {
    const fault = faultOfDomain(domain)
    if (fault !== undefined) fail(fault)
  }
  const full = normalised(domain, path)
  if (`${full.domain}/${full.path}`.length > LONGEST_NAME)
    fail(`its name has ${`${full.domain}/${full.path}`.length} characters with the registry; ${LONGEST_NAME} at most`)
  if (name === '') fail(`it has no name before "${text[0]}"`)
  if (/^[0-9a-f]{64}$/.test(name)) fail('64 hexadecimal digits are an id and no name; write sha256: before them')
  for (const component of path.split('/')) {
    const fault = faultOfComponent(component)
    if (fault !== undefined) fail(fault)
  }
  if (tag !== undefined && !isTag(tag))
    fail(
      tag.length > LONGEST_TAG
        ? `its tag has ${tag.length} characters; ${LONGEST_TAG} at most`
        : `"${tag}" is not a tag: 1 to ${LONGEST_TAG} letters, digits, "_", "." and "-", the first no "." or "-"`,
    )
  if (digest !== undefined) {
    const fault = faultOfDigest(digest)
    if (fault !== undefined) fail(fault)
  }
  return { ...full, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

/** Whether the text can be the tag of an image. */
export const isTag = (text: string): boolean => /^\w[\w.-]{0,127}$/.test(text)

/** The part before the first slash is a registry if it has a dot, a port or a capital letter, or is `localhost`. Otherwise it is a user of Docker Hub. */
function split(name: string): { domain: string | undefined; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(0, slash))
  if (slash < 0 || !(/[.:A-Z]/.test(first) || first === 'localhost')) return { domain: undefined, path: name }
  return { domain: first, path: name.slice(slash + 1) }
}

function normalised(domain: string | undefined, path: string): { domain: string; path: string } {
  const host = domain === undefined || domain === LEGACY_DEFAULT_DOMAIN ? DEFAULT_DOMAIN : domain
  return { domain: host, path: host === DEFAULT_DOMAIN && !path.includes('/') ? `library/${path}` : path }
}

function faultOfDomain(domain: string): string | undefined {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(domain) ?? []
  if (!HOST.test(host)) return `"${domain}" is not the host of a registry`
  if (port !== undefined && !/^\d+$/.test(port)) return `"${port}" is not the port of a registry`
  return undefined
}

/** What keeps the text from being a part of an image's name; undefined if nothing does. */
export function faultOfComponent(component: string): string | undefined {
  if (component === '') return 'a part of its name is empty: a "/" is first, last or doubled'
  if (COMPONENT.test(component)) return undefined
  if (/[A-Z]/.test(component)) return `"${component}" has capital letters; the name of an image is in lower case`
  return `"${component}" is not a part of a name: a-z and 0-9, between them ".", "_", "__" or "-"`
}

function faultOfDigest(digest: string): string | undefined {
  const [, algorithm = '', hex = ''] = /^([^:]*):?(.*)$/s.exec(digest) ?? []
  const length = Object.hasOwn(DIGEST_LENGTHS, algorithm) ? DIGEST_LENGTHS[algorithm] : undefined
  if (length === undefined) return `"${digest}" is not a digest; write it like @sha256: and 64 hexadecimal digits`
  if (/^[0-9a-f]*$/.test(hex) && hex.length === length) return undefined
  return `"${digest}" is not a digest: ${algorithm} has ${length} hexadecimal digits in lower case`
}
