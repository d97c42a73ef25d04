/**
 * Files of a container by its own shell, as the user of a command: for programs that want a file or two, and no archive. Needs `sh`, `cat`, `find`, `stat`
 * and `rm`, of busybox or coreutils. What a caller names is an argument of the script and never a part of it.
 */
export const fileCommands = {
  /** Writes the file to its output. */
  read: (path: string) => command(READ, path),
  /** Writes its input into the file, and makes the folders that are missing. */
  write: (path: string) => command(WRITE, path),
  /** Writes what `entriesIn` reads. */
  list: (path: string) => command(LIST, path),
  /** Removes the file, or the folder with all in it. */
  remove: (path: string) => command(REMOVE, path),
}

/** An entry of a folder. Those whose names have a line break are left out. */
export type FileEntry = {
  readonly name: string
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  readonly size: number
  /** ISO 8601. */
  readonly modifiedAt: string
}

/** How such a script says what went wrong. */
export const EXIT = { notFound: 44, isFolder: 21, notFolder: 20, noAccess: 13 } as const
const AT = 'case $1 in -*) set -- "./$1" ;; esac\n'
const READ = `${AT}[ -e "$1" ] || exit ${EXIT.notFound}
[ ! -d "$1" ] || exit ${EXIT.isFolder}
[ -r "$1" ] || exit ${EXIT.noAccess}
exec cat -- "$1"`
const WRITE = `${AT}[ ! -d "$1" ] || exit ${EXIT.isFolder}
case $1 in */*) mkdir -p -- "\${1%/*}/" || exit ${EXIT.noAccess} ;; esac
( : >> "$1" ) 2> /dev/null || exit ${EXIT.noAccess}
exec cat > "$1"`
const LIST = `${AT}[ -e "$1" ] || exit ${EXIT.notFound}
[ -d "$1" ] || exit ${EXIT.notFolder}
cd -- "$1" || exit ${EXIT.noAccess}
find . ! -name . -prune -exec stat -c '%f %s %Y %n' -- {} +`
const REMOVE = `${AT}[ -e "$1" ] || [ -L "$1" ] || exit ${EXIT.notFound}
exec rm -rf -- "$1"`

const command = (script: string, path: string): string[] => ['sh', '-c', script, 'sh', path]

/** What an exit code of such a command other than 0 means. `said`: what the command wrote to stderr. */
export function fileFault(
  exitCode: number,
  path: string,
  said: string,
): { readonly code: string; readonly detail: string } {
  switch (exitCode) {
    case EXIT.notFound:
      return { code: 'not-found', detail: `${path}: no such file or folder` }
    case EXIT.isFolder:
      return { code: 'bad-input', detail: `${path} is a folder` }
    case EXIT.notFolder:
      return { code: 'bad-input', detail: `${path} is no folder` }
    case EXIT.noAccess:
      return { code: 'forbidden', detail: `${path}: the user of the container may not do this` }
    default:
      return { code: 'bad-input', detail: `${path}: ${said.trim() || `the command failed with ${exitCode}`}` }
  }
}

const LINE = /^([0-9a-f]+) (\d+) (-?\d+) \.\/(.*)$/
const FORMAT = 0xf000
const KINDS = new Map<number, FileEntry['kind']>([
  [0x8000, 'file'],
  [0x4000, 'folder'],
  [0xa000, 'link'],
])

/** What a file of this mode is, which `stat -c %f` writes in hexadecimal. */
export const kindOf = (mode: number): FileEntry['kind'] => KINDS.get(mode & FORMAT) ?? 'other'

/** The entries that a list has written, by name. */
export function entriesIn(said: string): readonly FileEntry[] {
  return said
    .split('\n')
    .flatMap(line => {
      const [, mode, size, time, name] = LINE.exec(line) ?? []
      if (mode === undefined || name === undefined) return []
      return {
        name,
        kind: kindOf(Number.parseInt(mode, 16)),
        size: Number(size),
        modifiedAt: new Date(Number(time) * 1_000).toISOString(),
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
