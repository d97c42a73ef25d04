import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { AT, EXIT, NO, type Open, scriptStart, withoutShell } from './container.ts'
import { type Entry, entryInfo, readEntries, SHOW } from './entries.ts'
import { fault } from './faults.ts'
import { FIND, MOST_ENTRIES } from './filesystem.ts'
import { below } from './paths.ts'

/** So often a folder is looked at: there is no agent in the container, and an image need not have a tool for inotify(7). */
const LOOKED_AT_EVERY_MS = 500
const MOST_BYTES = 8 * 2 ** 20
const DEEPEST = 100

/** Lists the folder once for each line that it gets, and ends with its input. Each list ends with a line. */
const WATCH = `${NO}${AT}at "$1"; d=$2; show=$3
[ -d "$p" ] || no ${EXIT.notFound} "$p: no such folder"
printf '%s\\0' "$p"
while read -r _; do
  [ -d "$p" ] || no ${EXIT.notFound} "$p: was removed"
  ${FIND}
  echo "$4"
done`
const MARK = '--- end of the list ---'
const END = Buffer.from(`${MARK}\n`)

export type WatchEvent = { readonly name: string; readonly type: string; readonly entry?: object }
type Asked = {
  readonly path: string
  readonly isDeep: boolean
  readonly withEntry: boolean
  readonly user: string | undefined
}

/** What has happened between two looks at a folder. A name that is gone and whose inode has another name was renamed. @internal */
export function changesBetween(
  before: ReadonlyMap<string, Entry>,
  after: ReadonlyMap<string, Entry>,
): readonly { readonly path: string; readonly type: string; readonly entry: Entry }[] {
  const changes: { path: string; type: string; entry: Entry }[] = []
  const inodes = new Set([...after.values()].filter(({ path }) => !before.has(path)).map(({ inode }) => inode))
  for (const [path, entry] of before) {
    if (after.has(path)) continue
    changes.push({ path, entry, type: inodes.has(entry.inode) ? 'EVENT_TYPE_RENAME' : 'EVENT_TYPE_REMOVE' })
  }
  const known = new Set([...before.values()].map(({ inode }) => inode))
  for (const [path, entry] of after) {
    const had = before.get(path)
    if (had === undefined) {
      changes.push({ path, entry, type: 'EVENT_TYPE_CREATE' })
      if (entry.type === 'file' && entry.size > 0 && !known.has(entry.inode))
        changes.push({ path, entry, type: 'EVENT_TYPE_WRITE' })
    } else if (had.mode !== entry.mode) changes.push({ path, entry, type: 'EVENT_TYPE_CHMOD' })
    else if (entry.type !== 'folder' && (had.facts !== entry.facts || had.inode !== entry.inode))
      changes.push({ path, entry, type: 'EVENT_TYPE_WRITE' })
  }
  return changes
}

/** Tells what changes in a folder, until the signal aborts. `ready`: called when the watch has begun. Fails where the folder is not there. */
export async function watchFolder(
  { path, isDeep, withEntry, user }: Asked,
  { open, clock }: { readonly open: Open; readonly clock: Clock },
  { ready, tell }: { ready: () => Promise<void>; tell: (events: readonly WatchEvent[]) => Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const words = [path, `${isDeep ? DEEPEST : 1}`, SHOW, MARK]
  using session = await open(scriptStart(WATCH, words, user), signal).catch(withoutShell)
  let folder: string | undefined
  let before: ReadonlyMap<string, Entry> | undefined
  let said = ''
  let parts: Buffer[] = []
  let bytes = 0
  const look = (): Promise<void> => session.write(Buffer.from('\n'))
  const lookLater = async (): Promise<void> => {
    await pause(clock, LOOKED_AT_EVERY_MS, signal)
    await look()
  }
  const took = async (list: Buffer): Promise<void> => {
    const entries = readEntries(list)
    if (entries.length > MOST_ENTRIES)
      throw fault('resource_exhausted', `more than ${MOST_ENTRIES} entries cannot be watched`)
    const after = new Map(entries.map(one => [one.path, one]))
    if (before === undefined) await ready()
    else {
      const events = changesBetween(before, after).map(({ path: of, type, entry }) => ({
        name: below(folder ?? '/', of),
        type,
        ...(withEntry && { entry: entryInfo(entry) }),
      }))
      if (events.length > 0) await tell(events)
    }
    before = after
    lookLater().catch(() => undefined) // the session has ended, which its reader hears
  }
  await look()
  const code = await session.read({
    output: async (stream, piece) => {
      if (stream === 'stderr') {
        said = `${said}${Buffer.from(piece)}`.slice(0, 4_096)
        return
      }
      parts.push(Buffer.from(piece))
      bytes += piece.length
      if (bytes > MOST_BYTES) throw fault('resource_exhausted', 'the folder has too much in it to be watched')
      let all = Buffer.concat(parts)
      if (folder === undefined) {
        const end = all.indexOf(0)
        if (end === -1) return
        folder = all.subarray(0, end).toString()
        all = all.subarray(end + 1)
      }
      parts = [all]
      bytes = all.length
      if (!all.subarray(-END.length).equals(END)) return
      parts = []
      bytes = 0
      await took(all.subarray(0, -END.length))
    },
  })
  if (signal.aborted) return
  throw fault(code === EXIT.notFound ? 'not_found' : 'unavailable', said.trim() || 'the watch has ended')
}
