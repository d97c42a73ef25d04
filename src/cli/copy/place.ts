import { basename, posix } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'

/** One end of a copy: a stream of tar, a path of this machine, or a path in the container of an app. */
export type Place =
  | { readonly kind: 'stream' }
  | { readonly kind: 'local'; readonly path: string; readonly isFolder: boolean }
  | { readonly kind: 'app'; readonly app: string; readonly path: string; readonly isFolder: boolean }

/** Reads an end of a copy as `docker cp` does: `APP:PATH` is in an app, unless it begins like a path; `-` is a stream of tar. */
export function placeOf(text: string): Place {
  if (text === '-') return { kind: 'stream' }
  const colon = text.indexOf(':')
  const isFolder = /(^|\/)\.?$/.test(text)
  if (colon < 1 || /^[./]/.test(text)) {
    if (text === '') throw new ShadowError('bad-input', 'a path is empty')
    return { kind: 'local', path: text, isFolder }
  }
  const path = posix.normalize(`/${text.slice(colon + 1)}`).replace(/(.)\/$/, '$1')
  return { kind: 'app', app: text.slice(0, colon), path, isFolder: isFolder || path === '/' }
}

/** The last part of a path, which a copy is named by. Fails with `bad-input` for a root, which has none. */
export function nameOf(path: string): string {
  const name = basename(path)
  if (name === '' || name === '.' || name === '..')
    throw new ShadowError('bad-input', `${path} has no name to copy it by`, { hint: 'name the folder: blog:/data' })
  return name
}
