import { z } from 'zod'
import { parseValue } from '../../api/parse-call.ts'
import { AT, EXIT, NO, type Open, runScript } from './container.ts'
import { type Entry, entryInfo, readEntries, SHOW } from './entries.ts'
import { fault } from './faults.ts'
import { containerPath } from './paths.ts'

export const MOST_ENTRIES = 20_000

const ofPath = z.object({ path: z.string() })
const ofListing = z.object({ path: z.string(), depth: z.int().min(0).max(1_000).default(1) })
const ofMove = z.object({ source: z.string(), destination: z.string() })

const SHOW_P = `set -- "$p"; ${SHOW}`
const THERE = `{ [ -e "$p" ] || [ -h "$p" ]; } || no ${EXIT.notFound} "$p: no such file or folder"`

const STAT = `${NO}${AT}at "$1"; ${THERE}; ${SHOW_P}`
const MAKE = `${NO}${AT}at "$1"
[ ! -d "$p" ] || no ${EXIT.exists} "$p: the folder is there already"
[ ! -e "$p" ] || no ${EXIT.notFolder} "$p: is a file"
mkdir -p -- "$p" || exit 1
${SHOW_P}`
// As rename(2) does it: a folder takes the place of an empty folder, a file that of a file.
const MOVE = `${NO}${AT}at "$2"; to=$p; at "$1"; ${THERE}
if [ -d "$to" ] && [ ! -h "$to" ]; then
  { [ -d "$p" ] && [ ! -h "$p" ] && rmdir -- "$to" 2>/dev/null; } || no ${EXIT.exists} "$to: is there already"
fi
mkdir -p -- "\${to%/*}/" && mv -f -- "$p" "$to" || exit 1
p=$to; ${SHOW_P}`
const REMOVE = `${AT}at "$1"; rm -rf -- "$p"`

/** Lists what is in the folder `$p` to the depth `$d`, with the script `$show`. */
export const FIND = 'find "$p/" -mindepth 1 -maxdepth "$d" -exec sh -c "$show" sh {} + 2>/dev/null'
const LIST = `${NO}${AT}at "$1"; d=$2; show=$3; ${THERE}
[ -d "$p" ] || no ${EXIT.notFolder} "$p: is no folder"
${FIND}
exit 0`

export type FilesystemCall = (
  input: unknown,
  of: { open: Open; user: string | undefined },
  signal: AbortSignal,
) => Promise<object>

const onlyOne = (said: Buffer): Entry => {
  const [entry] = readEntries(said)
  if (entry === undefined) throw fault('not_found', 'it was removed meanwhile')
  return entry
}

/** The unary calls of `filesystem.Filesystem`, by scripts in the container. */
export const filesystemCalls: Readonly<Record<string, FilesystemCall>> = {
  async Stat(input, { open, user }, signal) {
    const { path } = parseValue(ofPath, input)
    return { entry: entryInfo(onlyOne(await runScript(open, STAT, [containerPath(path)], { user }, signal))) }
  },
  async MakeDir(input, { open, user }, signal) {
    const { path } = parseValue(ofPath, input)
    return { entry: entryInfo(onlyOne(await runScript(open, MAKE, [containerPath(path)], { user }, signal))) }
  },
  async Move(input, { open, user }, signal) {
    const { source, destination } = parseValue(ofMove, input)
    const words = [containerPath(source), containerPath(destination)]
    return { entry: entryInfo(onlyOne(await runScript(open, MOVE, words, { user }, signal))) }
  },
  async Remove(input, { open, user }, signal) {
    const { path } = parseValue(ofPath, input)
    await runScript(open, REMOVE, [containerPath(path)], { user }, signal)
    return {}
  },
  async ListDir(input, { open, user }, signal) {
    const { path, depth } = parseValue(ofListing, input)
    const words = [containerPath(path), `${Math.max(1, depth)}`, SHOW]
    const entries = readEntries(await runScript(open, LIST, words, { user }, signal))
    if (entries.length > MOST_ENTRIES)
      throw fault('resource_exhausted', `${path} has more than ${MOST_ENTRIES} entries to list; take a smaller depth`)
    return { entries: entries.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(entryInfo) }
  },
}
