import type { IncomingMessage } from 'node:http'
import { isBuiltTag } from '../../model/build.ts'
import { isInScope } from '../../model/scope.ts'
import type { Caller } from '../known-callers.ts'
import { scopeOf } from '../owners/permission.ts'
import { fault } from './faults.ts'

/** Fails with DENIED if the caller may not push and pull images. Nodes read the images of their apps by another call. */
export function mustUseImages(caller: Caller): void {
  if (caller.role === 'admin' || caller.role === 'owner') return
  throw fault(
    'DENIED',
    `a token of the role ${caller.role} may not push or pull images`,
    'it takes a token of the role admin as the password: shadow token create NAME',
  )
}

/** What a push sends, with the name of the repository and, of a manifest, its tag. */
const PUSHES = [
  /^HEAD \/v2\/([a-z0-9-]+)\/blobs\/sha256:[0-9a-f]{64}$/,
  /^POST \/v2\/([a-z0-9-]+)\/blobs\/uploads\/$/,
  /^(?:PATCH|PUT) \/v2\/([a-z0-9-]+)\/blobs\/uploads\/[0-9a-f]{32}$/,
  /^(?:HEAD|PUT) \/v2\/([a-z0-9-]+)\/manifests\/([0-9a-f]+)$/,
]

/**
 * Lets a node push the image that it has built, and nothing else: it reads no content, mounts no layer of another repository, and sets no
 * tag that a person may have set. `mustPush` fails if the node does not build for the app of this name.
 */
export function mustPushImage({ method, url = '' }: IncomingMessage, mustPush: (name: string) => void): void {
  if (/^\/v2\/?$/.test(url)) return
  const { pathname, searchParams } = new URL(url, 'http://master')
  const asked = `${method} ${pathname.replaceAll(/%3A/gi, ':')}`
  const [, name, tag] = PUSHES.map(push => push.exec(asked)).find(found => found !== null) ?? []
  const isOfBuild = name !== undefined && (tag === undefined || isBuiltTag(tag)) && !searchParams.has('mount')
  if (!isOfBuild) throw fault('DENIED', 'a node pushes what it has built, and does nothing else here')
  mustPush(name)
}

/** Fails with DENIED if the caller is an owner, and the repository is not of one of its apps. */
export function mustUseRepository(caller: Caller, name: string): void {
  const scope = scopeOf(caller)
  if (scope === undefined || isInScope(scope, name.split('/', 1)[0] ?? '')) return
  throw fault('DENIED', `this token is for the images of the apps ${scope.join(', ')}, and not for ${name}`)
}
