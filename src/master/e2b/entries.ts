import { posix } from 'node:path'
import { type FileEntry, kindOf } from '../../api/file-scripts.ts'

/** What a file, a folder or a link is. `facts` changes whenever the entry is written or renamed. */
export type Entry = {
  readonly path: string
  readonly type: FileEntry['kind']
  readonly size: number
  readonly mode: number
  readonly inode: string
  readonly owner: string
  readonly group: string
  /** ISO 8601, with as many digits as the container tells. */
  readonly modifiedAt: string
  readonly facts: string
  readonly target?: string
}

/**
 * Writes of each argument what it is, then the arguments, then the targets of links; coreutils and busybox can do it. `stat` leaves out an entry
 * that has vanished meanwhile: it writes the names too, so that the others are not mixed up.
 */
export const SHOW = [
  'stat -c \'%f %s %i %U %G %y|%z|%n\' -- "$@" 2>/dev/null',
  "printf '\\0'",
  'for f; do printf \'%s\\0\' "$f"; done',
  "printf '\\0'",
  'for f; do if [ -h "$f" ]; then printf \'%s\\0\' "$f"; readlink -- "$f"; printf \'\\0\'; fi; done',
  "printf '\\0'",
].join('; ')

const LINE = /^([0-9a-f]+) (\d+) (\d+) (\S+) (\S+) ([^|\n]*)\|([^|\n]*)\|/

/** What `SHOW` has written, once or several times. */
export function readEntries(bytes: Buffer): readonly Entry[] {
  const text = bytes.toString()
  const entries: Entry[] = []
  let at = 0
  const next = (): string => {
    const end = text.indexOf('\0', at)
    const found = text.slice(at, end === -1 ? undefined : end)
    at = end === -1 ? text.length : end + 1
    return found
  }
  const list = (): string[] => {
    const all: string[] = []
    for (let one = next(); one !== ''; one = next()) all.push(one)
    return all
  }
  while (at < text.length) {
    let facts = next()
    const names = list()
    const targets = new Map<string, string>()
    for (let link = next(); link !== ''; link = next()) targets.set(link, next().replace(/\n$/, ''))
    for (const name of names) {
      const [head, ...fields] = LINE.exec(facts) ?? []
      if (head === undefined || !facts.startsWith(`${name}\n`, head.length)) continue
      facts = facts.slice(head.length + name.length + 1)
      entries.push(entryOf(name, fields, targets.get(name)))
    }
  }
  return entries
}

function entryOf(name: string, fields: readonly string[], target: string | undefined): Entry {
  const [mode = '', size = '', inode = '', owner = '', group = '', modified = '', changed = ''] = fields
  const bits = Number.parseInt(mode, 16)
  return {
    path: posix.normalize(name),
    type: kindOf(bits),
    size: Number(size),
    mode: bits & 0o7777,
    ...{ inode, owner, group },
    modifiedAt: isoTime(modified),
    facts: `${size} ${modified} ${changed}`,
    ...(target !== undefined && { target }),
  }
}

/** `2026-11-30 07:34:41.123456789 +0000` as ISO 8601 in UTC. */
function isoTime(text: string): string {
  const [, day, time, digits = '', hours = '+00', minutes = '00'] =
    /^(\S+) (\d\d:\d\d:\d\d)(?:\.(\d+))?(?: ([+-]\d\d)(\d\d))?/.exec(text) ?? []
  const seconds = Date.parse(`${day}T${time}${hours}:${minutes}`)
  if (Number.isNaN(seconds)) return new Date(0).toISOString()
  return `${new Date(seconds).toISOString().slice(0, 19)}.${digits.slice(0, 9).padEnd(3, '0')}Z`
}

const TYPE_SAID = { file: 'FILE_TYPE_FILE', folder: 'FILE_TYPE_DIRECTORY', link: 'FILE_TYPE_SYMLINK' } as const
const LETTER = { file: '-', folder: 'd', link: 'L', other: '?' } as const

/** The entry in the JSON of `filesystem.EntryInfo`. */
export const entryInfo = (entry: Entry) => ({
  name: posix.basename(entry.path),
  type: entry.type === 'other' ? 'FILE_TYPE_UNSPECIFIED' : TYPE_SAID[entry.type],
  path: entry.path,
  size: `${entry.size}`,
  mode: entry.mode & 0o777,
  permissions: LETTER[entry.type] + permissions(entry.mode),
  owner: entry.owner,
  group: entry.group,
  modifiedTime: entry.modifiedAt,
  ...(entry.target !== undefined && { symlinkTarget: entry.target }),
})

const permissions = (mode: number): string =>
  [6, 3, 0].map(shift => 'rwx'.replace(/./g, (letter, at) => ((mode >> shift) & (4 >> at) ? letter : '-'))).join('')
