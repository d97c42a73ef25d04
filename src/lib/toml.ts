import type { AST } from 'toml-eslint-parser'

/** Where a value or the key of a table is written, counted from 1. */
export type TomlPlace = { readonly line: number; readonly column: number }
export type TomlFault = TomlPlace & { readonly message: string }

export type Toml = {
  readonly value: Readonly<Record<string, unknown>>
  /** The place of a value by its path, such as `limits.memory` or `domains.0`. */
  readonly places: ReadonlyMap<string, TomlPlace>
  /** Lines that are no TOML. They are left out of `value`. */
  readonly faults: readonly TomlFault[]
}

const MOST_FAULTS = 20

/** Parses TOML 1.0. After a line that is wrong the rest is read on, so that all wrong lines are told of at once. */
export async function parseToml(text: string): Promise<Toml> {
  const parser = await import('toml-eslint-parser')
  const lines = text.split('\n')
  const faults: TomlFault[] = []
  while (faults.length < MOST_FAULTS) {
    try {
      const tree = parser.parseTOML(lines.join('\n'))
      return { value: withoutBigInts(parser.getStaticTOMLValue(tree)) as Toml['value'], places: placesOf(tree), faults }
    } catch (error) {
      if (!(error instanceof parser.ParseError)) throw error
      const at = placeOf(error, lines, one => isToml(parser, one))
      const line = lines[at.line - 1] ?? ''
      // Without a line to leave out there is no way to go on: the end of a text or a list is missing.
      const isLast = line.trim() === ''
      faults.push({ ...at, message: sayFault(error.message, line) })
      if (isLast) break
      lines[at.line - 1] = ''
    }
  }
  return { value: {}, places: new Map(), faults }
}

type Parser = typeof import('toml-eslint-parser')

function isToml(parser: Parser, line: string): boolean {
  try {
    parser.parseTOML(line)
    return true
  } catch {
    return false // the question was whether it can be parsed
  }
}

/** The parser names the first character that it could not use. What is missing at the end of a line shows at the start of the next one. */
function placeOf(
  { lineNumber, column }: { lineNumber: number; column: number },
  lines: readonly string[],
  isWhole: (line: string) => boolean,
): TomlPlace {
  const before = lines[lineNumber - 2]
  if (column > 0 || before === undefined || before.trim() === '' || isWhole(before))
    return { line: lineNumber, column: column + 1 }
  return { line: lineNumber - 1, column: before.trimEnd().length + 1 }
}

function sayFault(message: string, line: string): string {
  const shown = line.trim().slice(0, 60)
  const [, key, bare] =
    /^\s*([\w.-]+)\s*=\s*(?!["'[{]|(?:true|false|inf|nan)\s*$)([A-Za-z_/.~*][^"#]*?)\s*$/.exec(line) ?? []
  if (/^\s*[\w."-]+\s*=\s*(#.*)?$/.test(line)) return `${shown}: a value is missing after "="`
  if (message.startsWith('Defining a key multiple times')) return `${shown}: it is there already; write it once`
  if (bare !== undefined) return `${shown}: text is written in quotes: ${key} = "${bare}"`
  if (shown.startsWith('[') && !shown.includes('='))
    return `${shown}: a table is written like [name], in a line of its own`
  if (shown === '') return `${message.toLowerCase()}: its end is missing`
  return `${shown}: ${message.toLowerCase()}`
}

function placesOf(tree: AST.TOMLProgram): Map<string, TomlPlace> {
  const places = new Map<string, TomlPlace>()
  const note = (path: readonly (string | number)[], { start }: AST.SourceLocation): void => {
    const at = path.join('.')
    if (!places.has(at)) places.set(at, { line: start.line, column: start.column + 1 })
  }
  const pair = (base: readonly (string | number)[], { key, value }: AST.TOMLKeyValue): void => {
    const path = [...base]
    for (const part of key.keys) {
      path.push(part.type === 'TOMLBare' ? part.name : part.value)
      if (part !== key.keys.at(-1)) note(path, part.loc)
    }
    note(path, key.loc)
    content(path, value)
  }
  const content = (path: readonly (string | number)[], node: AST.TOMLContentNode): void => {
    if (node.type === 'TOMLInlineTable') for (const one of node.body) pair(path, one)
    if (node.type === 'TOMLArray')
      for (const [index, one] of node.elements.entries()) {
        note([...path, index], one.loc)
        content([...path, index], one)
      }
  }
  for (const node of tree.body[0].body) {
    if (node.type === 'TOMLKeyValue') pair([], node)
    else {
      note(node.resolvedKey, node.loc)
      for (const one of node.body) pair(node.resolvedKey, one)
    }
  }
  return places
}

/** Numbers of TOML may be larger than those of JSON. Here they are numbers all the same: each has limits far below that. */
function withoutBigInts(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(withoutBigInts)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutBigInts(one)]))
}
