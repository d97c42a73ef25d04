import { dirname, join, normalize } from 'node:path'

/** A source file; `path` is relative to the project. */
export type Source = { readonly path: string; readonly text: string }

const DAEMON = ['lib', 'model', 'api']

// What each folder of src/ may import, besides itself.
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  model: ['lib'],
  api: ['lib', 'model'],
  master: DAEMON,
  nodeproxy: DAEMON,
  proxy: DAEMON,
  dashboard: DAEMON,
  // Its types alone: it has no dependencies.
  sdk: ['api'],
  cli: [...DAEMON, 'master', 'nodeproxy', 'proxy', 'dashboard'],
  testing: [...DAEMON, 'master', 'nodeproxy', 'proxy', 'cli'],
}

const HTTP = 'src/lib/http/'
const NODE_INTERNALS = `${HTTP}node-internals/`

// What each folder of src/lib/http may import, besides itself; '' stands for the files beside the folders. Tests may import everything.
const HTTP_ROOMS: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  '': ['wire'],
  'node-internals': [],
  sockets: ['wire', 'node-internals'],
  guard: ['', 'wire'],
  tls: ['', 'wire', 'guard', 'node-internals'],
  upstream: ['', 'wire', 'guard', 'sockets', 'node-internals'],
  upgrade: ['', 'wire', 'guard', 'sockets'],
  api: ['', 'wire'],
  downstream: ['', 'wire', 'guard', 'sockets', 'node-internals', 'tls', 'upstream', 'upgrade'],
}

// A library behind one of our contracts is imported in the driver of the contract only.
const ONLY_IN: readonly (readonly [library: RegExp, files: RegExp])[] = [
  [/^openid-client$/, /^src\/master\/dashboard\/oidc\/provider\.ts$/],
  [/^dockerode$/, /^src\/nodeproxy\/runtime\/docker[^/]*\.ts$/],
  [/^@aws-sdk\/client-s3$/, /^src\/master\/(storage|blobs|backups)\/s3[^/]*\.ts$/],
  [/^@aws-sdk\/client-ec2$/, /^src\/(lib\/ec2\/client|(proxy\/fleet|nodeproxy\/volumes)\/(ec2|ebs)[^/]*)\.ts$/],
  [
    /^(@aws-sdk|@smithy)\//,
    /^src\/(master\/(storage|blobs|backups)\/s3|proxy\/fleet\/ec2|nodeproxy\/volumes\/ebs|lib\/ec2\/client)[^/]*\.ts$/,
  ],
  [/^express$/, /^src\/master\//],
  [/^@peculiar\//, /^src\/lib\/tls\/x509\.ts$/],
  [/^commander$/, /^src\/cli\//],
  [/^pino$/, /^src\/lib\/log\.ts$/],
  [/^@opentelemetry\//, /^src\/lib\/tracing\/otlp\.ts$/],
  [/^vitest|^fast-check$/, /^src\/testing\//],
]

// Loading these takes longer than the rest of the CLI's start: a static import would slow down every command.
const LAZY = /^(dockerode|openid-client|@aws-sdk\/.*|@peculiar\/.*|@opentelemetry\/.*)$/

const READS_ENVIRONMENT = /(^|\/)(config|settings|terminal)\.ts$/
const LONGEST_FILE = 500

/** Every violation of the layers in these files of src/, one line each. */
export function faultsOf(sources: readonly Source[]): string[] {
  return sources.flatMap(source => {
    const inTest = source.path.endsWith('.test.ts')
    const faults = [...importFaults(source, inTest)]
    const length = source.text.trimEnd().split('\n').length
    if (length > LONGEST_FILE) faults.push(`has ${length} lines; ${LONGEST_FILE} at most`)
    if (!inTest) faults.push(...wordFaults(source))
    return faults.map(fault => `${source.path}: ${fault}`)
  })
}

function importFaults({ path, text }: Source, inTest: boolean): string[] {
  const layer = layerOf(path)
  const allowed = MAY_IMPORT[layer]
  if (allowed === undefined) return [`"${layer}" is no layer; name it in test/tools/layers.ts`]
  return importsOf(text).flatMap(({ from, lazy, typeOnly }) => {
    if (from.startsWith('node:')) return []
    if (from.startsWith('.')) {
      const to = layerOf(normalize(join(dirname(path), from)))
      if (to === '' || allowed.includes(to) || (inTest && to === 'testing')) return []
      if (to === layer) return inTest ? [] : roomFaults(path, normalize(join(dirname(path), from)))
      return [`${layer} imports ${to} (${from})`]
    }
    if (inTest) return []
    const home = ONLY_IN.find(([library]) => library.test(from))
    if (home !== undefined && !home[1].test(path)) return [`imports ${from}, which belongs in ${home[1].source}`]
    if (LAZY.test(from) && !lazy && !typeOnly) return [`imports ${from} at start; use await import('${from}')`]
    return []
  })
}

/** The folder of src/lib/http that the file is in; '' for a file beside the folders. */
const roomOf = (path: string): string => /^([^/]+)\//.exec(path.slice(HTTP.length))?.[1] ?? ''

function roomFaults(path: string, imported: string): string[] {
  if (!path.startsWith(HTTP) || !imported.startsWith(HTTP)) return []
  const [room, other] = [roomOf(path), roomOf(imported)]
  const allowed = HTTP_ROOMS[room]
  if (allowed === undefined) return [`"${room}" is no room of ${HTTP}; name it in test/tools/layers.ts`]
  return room === other || allowed.includes(other) ? [] : [`${room || HTTP} imports ${other || HTTP}`]
}

function wordFaults({ path, text }: Source): string[] {
  const faults: string[] = []
  const code = withoutComments(text)
  if (/\bprocess\.env\b/.test(code) && !READS_ENVIRONMENT.test(path))
    faults.push('reads process.env; only config.ts does')
  if (!path.startsWith(NODE_INTERNALS))
    for (const [word] of code.matchAll(/\b_(handle|parent|readableState|writableState)\b/g))
      faults.push(`uses ${word} of Node, which belongs in ${NODE_INTERNALS}`)
  // errors.ts has our error codes, which name the things of the other layers.
  if (layerOf(path) === 'lib' && path !== 'src/lib/errors.ts')
    for (const [word] of withoutStrings(code).matchAll(/\b[\w$]+\b/g))
      if (wordsOf(word).some(part => OURS.has(part))) faults.push(`lib says "${word}"`)
  return faults
}

const OURS = new Set(['app', 'apps', 'volume', 'volumes', 'pin', 'pins'])
const wordsOf = (identifier: string): string[] => identifier.split(/(?=[A-Z])|[_$\d]+/).map(part => part.toLowerCase())

/**
 * The files that import one another in a circle, type imports included: one sorted list of paths for each connected group.
 * Circles among test files count too.
 */
export function circlesOf(sources: readonly Source[]): string[][] {
  const imports = new Map<string, string[]>()
  for (const { path, text } of sources)
    imports.set(
      path,
      importsOf(text)
        .filter(({ from }) => from.startsWith('.'))
        .map(({ from }) => normalize(join(dirname(path), from))),
    )
  return stronglyConnected(imports)
    .filter(group => group.length > 1 || imports.get(group[0] ?? '')?.includes(group[0] ?? '') === true)
    .map(group => group.sort())
    .sort()
}

/** Tarjan's algorithm: the strongly connected components of the graph. */
function stronglyConnected(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const groups: string[][] = []
  const visit = (node: string): number => {
    const index = order.size
    order.set(node, index)
    lowest.set(node, index)
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      if (!edges.has(next)) continue
      const reached = order.has(next) ? (stack.includes(next) ? (order.get(next) ?? index) : index) : visit(next)
      lowest.set(node, Math.min(lowest.get(node) ?? index, reached))
    }
    const low = lowest.get(node) ?? index
    if (low === index) groups.push(stack.splice(stack.indexOf(node)))
    return low
  }
  for (const node of edges.keys()) if (!order.has(node)) visit(node)
  return groups
}

type Import = { readonly from: string; readonly lazy: boolean; readonly typeOnly: boolean }

/** The imports of a file, in all forms of an import. */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text)
  const found: Import[] = []
  for (const match of code.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[\w$*{}\s,]+?\s+from\s*)?['"]([^'"]+)['"]/gm))
    found.push({ from: match[2] ?? '', lazy: false, typeOnly: match[1] !== undefined })
  for (const match of code.matchAll(/(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]/g))
    found.push({ from: match[2] ?? '', lazy: true, typeOnly: match[1] !== undefined })
  return found
}

const layerOf = (path: string): string => /^src\/([^/]+)\//.exec(path)?.[1] ?? ''

// Sufficient for our own formatted source: a comment mark in a string hides at most the rest of that line.
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{(])\/\/.*$/gm, '$1')
const withoutStrings = (code: string): string => code.replace(/'[^'\n]*'|"[^"\n]*"|`[^`]*`/g, "''")
