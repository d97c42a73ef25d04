import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { systemCode } from '../../lib/errors.ts'

/** A file as one client gets it. */
export type PageFile = {
  readonly bytes: Buffer
  readonly encoding: 'br' | 'gzip' | undefined
  readonly type: string
  readonly etag: string
}

/** A name of a file in the folder or in `assets/`. It begins with no dot and has no other slash, so it cannot lead out of the folder. */
const NAME = /^(?:assets\/)?[\w-][\w.-]*$/

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/**
 * The file of this name in the folder, in the smallest form that the build has made and the client takes; undefined if there is none. It is
 * read for each request: the folder may be built anew, and few people ask.
 */
export async function pageFile(
  folder: string,
  name: string,
  accepts: string | undefined,
): Promise<PageFile | undefined> {
  const type = TYPES[extname(name)]
  if (type === undefined || !NAME.test(name)) return undefined
  for (const [encoding, ending] of [
    ['br', '.br'],
    ['gzip', '.gz'],
    [undefined, ''],
  ] as const) {
    if (encoding !== undefined && !takes(accepts, encoding)) continue
    const bytes = await contentOf(join(folder, `${name}${ending}`))
    if (bytes !== undefined) return { bytes, encoding, type, etag: etagOf(bytes) }
  }
  return undefined
}

async function contentOf(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(systemCode(error) ?? '')) return undefined
    throw error
  }
}

const etagOf = (bytes: Buffer): string => `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`

/** Whether an Accept-Encoding header names the coding, and does not refuse it by `q=0` (RFC 9110, 12.5.3). */
function takes(accepts: string | undefined, coding: string): boolean {
  for (const one of accepts?.toLowerCase().split(',') ?? []) {
    const [name, ...parameters] = one.split(';').map(part => part.trim())
    if (name === coding) return !parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter))
  }
  return false
}
