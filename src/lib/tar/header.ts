/** tar works in blocks of this size: each header is one, and each body is filled up to whole ones. */
export const TAR_BLOCK = 512

/** An entry of an archive. `pax` are its extended records (POSIX.1-2001), such as `GNU.sparse.major`. */
export type TarHeader = {
  readonly name: string
  readonly size: number
  readonly pax?: Readonly<Record<string, string>>
}

/** An entry of the tree of a folder. */
export type TreeEntry = {
  readonly kind: 'file' | 'folder' | 'link'
  /** Its path in the folder, without a slash at its start or end. */
  readonly name: string
  readonly size: number
  readonly isExecutable: boolean
  /** Where a link leads to. */
  readonly link: string
}

/** The largest size that fits into the field of the plain header. */
const LARGEST = 0o77777777777
const FILE = '0'
const PAX = 'x'
const TYPES = { file: FILE, folder: '5', link: '2' } as const
/** The fields of a plain header are that long; longer texts, and those that are not ASCII, go into a record of pax. */
const NAME_BYTES = 100

/**
 * The bytes before the body of an entry of a tree. Time and owner are zero and the mode is one of two, so that the same tree gives the same
 * bytes everywhere.
 */
export function treeHeader({ kind, name, size, isExecutable, link }: TreeEntry): Buffer {
  const path = kind === 'folder' ? `${name}/` : name
  const records = {
    ...(!fits(path) && { path }),
    ...(!fits(link) && { linkpath: link }),
    ...(size > LARGEST && { size: String(size) }),
  }
  const mode = kind === 'link' ? 0o777 : kind === 'folder' || isExecutable ? 0o755 : 0o644
  const own = { mode, link: fits(link) ? link : 'long' }
  const plain = block(fits(path) ? path : 'long', size > LARGEST ? 0 : size, TYPES[kind], 0, own)
  if (Object.keys(records).length === 0) return plain
  const body = Buffer.concat(Object.entries(records).map(([key, value]) => record(key, value)))
  return Buffer.concat([block('PaxHeaders', body.length, PAX, 0), filledUp(body), plain])
}

const fits = (text: string): boolean => text.length <= NAME_BYTES && /^[\x21-\x7e]*$/.test(text)

/** The bytes before the body of a file: records of pax first, if there are any. */
export function tarHeader({ name, size, pax = {} }: TarHeader, mtimeSeconds: number): Buffer {
  const records = { ...pax, ...(size > LARGEST && { size: String(size) }) }
  const plain = block(name, size > LARGEST ? 0 : size, FILE, mtimeSeconds)
  if (Object.keys(records).length === 0) return plain
  const body = Buffer.concat(Object.entries(records).map(([key, value]) => record(key, value)))
  return Buffer.concat([
    block(`PaxHeaders/${name}`.slice(0, 100), body.length, PAX, mtimeSeconds),
    filledUp(body),
    plain,
  ])
}

/** Zeros that fill a body of this size up to whole blocks. */
export const padding = (size: number): Buffer => Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK)

/** What ends an archive. */
export const TAR_END = Buffer.alloc(2 * TAR_BLOCK)

const KINDS: ReadonlyMap<string, PlainHeader['kind']> = new Map([
  [FILE, 'file'],
  [PAX, 'pax'],
  [TYPES.folder, 'folder'],
  [TYPES.link, 'link'],
])

const filledUp = (body: Buffer): Buffer => Buffer.concat([body, padding(body.length)])

function block(
  name: string,
  size: number,
  type: string,
  mtimeSeconds: number,
  { mode = 0o600, link = '' }: { mode?: number; link?: string } = {},
): Buffer {
  const header = Buffer.alloc(TAR_BLOCK)
  const put = (text: string, at: number): void => void header.write(text, at, 'latin1')
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
  put(name, 0)
  put(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100)
  put(`${octal(size, 11)}\0${octal(Math.floor(mtimeSeconds), 11)}\0`, 124)
  put(' '.repeat(8), 148)
  put(type, 156)
  put(link, 157)
  put('ustar\0' + '00', 257)
  put(`${octal(sumOf(header), 6)}\0 `, 148)
  return header
}

const sumOf = (header: Buffer): number => header.reduce((sum, byte) => sum + byte, 0)

/** One record: its own length in bytes, a space, `key=value` and a newline. */
function record(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = Buffer.byteLength(rest)
  while (Buffer.byteLength(`${length}${rest}`) !== length) length = Buffer.byteLength(`${length}${rest}`)
  return Buffer.from(`${length}${rest}`)
}

type PlainHeader = {
  readonly kind: TreeEntry['kind'] | 'pax'
  readonly name: string
  readonly size: number
  readonly isExecutable: boolean
  readonly link: string
}

/** The header in a block: `pax` for one whose body has the records of the next entry. Undefined if it is not a header of ours. */
export function readHeader(header: Buffer): PlainHeader | undefined {
  const text = (from: number, to: number): string => header.toString('latin1', from, to).replace(/[\0 ].*$/s, '')
  const number = (from: number, to: number): number => {
    const digits = text(from, to)
    return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
  }
  const summed = Buffer.from(header)
  summed.fill(' ', 148, 156)
  const kind = KINDS.get(text(156, 157))
  const size = number(124, 136)
  if (number(148, 156) !== sumOf(summed) || !Number.isSafeInteger(size) || kind === undefined) return undefined
  return { kind, name: text(0, 100), size, isExecutable: (number(100, 108) & 0o100) !== 0, link: text(157, 257) }
}

/** The records in the body of a pax header; undefined if they are not well formed. */
export function readRecords(body: Buffer): Record<string, string> | undefined {
  const found: Record<string, string> = {}
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(' ', at)
    const length = Number(body.toString('latin1', at, space))
    if (space < at || !Number.isInteger(length) || length <= space - at + 1 || at + length > body.length)
      return undefined
    const [, key, value] = /^([^=]+)=(.*)\n$/s.exec(body.toString('utf8', space + 1, at + length)) ?? []
    if (key === undefined || value === undefined) return undefined
    found[key] = value
    at += length
  }
  return found
}
