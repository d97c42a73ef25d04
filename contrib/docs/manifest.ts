import { manifestJsonSchema } from '../../src/api/manifest-json-schema.ts'
import { BASES, LANGUAGES, type Language } from '../../src/cli/detect/recipe.ts'
import { TASK_DEFAULTS } from '../../src/model/task.ts'
import { table } from './table.ts'

type Json = {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Json[]
  readonly examples?: readonly unknown[]
  readonly $ref?: string
  readonly properties?: Readonly<Record<string, Json>>
}

/** Fields whose schema has no sentence, since they stand in other tables of the documentation too. */
const SAYS: Readonly<Record<string, string>> = {
  'volume.size': 'size; it can grow later',
  'volume.path': 'where it is mounted',
  'limits.memory': 'most memory; more ends the app',
  'limits.cpus': 'most processors',
  'limits.pids': 'most processes and threads',
  'sleep.idleAfter': 'sleep this long after the last request, or never',
  'sleep.grace': 'time from SIGTERM to SIGKILL',
  'sleep.webSockets':
    'what an open WebSocket does: hold keeps the app awake; ignore: neither that, nor does it wake it; wake: it wakes it',
  'concurrency.soft': 'requests in flight of an instance, above which another one is made ready',
  'concurrency.hard': 'no instance is given more requests at a time',
}

const DEFAULTS: Readonly<Record<string, string>> = {
  'limits.memory': TASK_DEFAULTS.memory,
  'sleep.idleAfter': TASK_DEFAULTS.idleAfter,
  'sleep.grace': TASK_DEFAULTS.grace,
  'checks.ready': 'port',
  'checks.startWithin': TASK_DEFAULTS.startWithin,
}

/** What is looked for in a folder, in the order in which it is looked for. */
/** What was built and run of each, from `shadow init` to an answer. */
const TRIED: Readonly<Record<Language, string>> = {
  go: 'Go 1.26, with a module of the Go module proxy',
  php: 'nothing by the usual tests; one that is asked for (the file says how) makes Debian with Apache and PHP 8.2',
  node: 'Node 24, Express with SQLite, by npm; not pnpm and yarn',
  python: 'Python 3.11: Flask with gunicorn, and a project with `pyproject.toml`, from PyPI; not Django and FastAPI',
  static: 'Caddy 2.6',
}

const FOUND: Readonly<Record<Language, readonly [looksFor: string, runs: string, installs: string]>> = {
  go: [
    '`go.mod`',
    'the main package at the top, else the first of `cmd/*`',
    '`go build`; the program alone is in the image',
  ],
  php: ['`index.php` or `public/index.php`', 'Apache', 'with `composer.json`: `composer install`'],
  node: [
    '`package.json`, else `server.js`, `index.js`, `app.js`',
    'the script `start`, else `main`, else that file',
    '`npm ci`, by `pnpm-lock.yaml` pnpm, by `yarn.lock` yarn; then the script `build` if there is one',
  ],
  python: [
    '`requirements.txt`, `pyproject.toml`, `manage.py`, `app.py`, `main.py`',
    'gunicorn or uvicorn if they are required, else the server of Django or Flask, else the file',
    '`pip install` into a venv',
  ],
  static: ['`index.html` or `public/index.html`', '`caddy file-server`', 'nothing'],
}

/** docs/shadow-toml.md. */
export function manifestPage(made: string): string {
  const schema = manifestJsonSchema() as { properties: Record<string, Json>; $defs: Record<string, Json> }
  const rows = rowsOf(schema.properties, schema.$defs)
  const languages = LANGUAGES.toSorted((a, b) => Object.keys(FOUND).indexOf(a) - Object.keys(FOUND).indexOf(b))
  return `# shadow.toml

${made}
\`shadow deploy\` reads this file, and \`shadow init\` writes one. Its fields are those of the API, with the same rules: see
[the definition of an app](run-an-app.md). Paths are relative to the file. A field that is left out goes back to its default at the next
deploy; \`[access]\`, \`[scale]\`, \`[wake]\` and \`[[tcp]]\` alone stay as they were set. Faults are told of all at once, each
with its line and column.

The JSON Schema is [shadow.schema.json](shadow.schema.json); each master has it at \`/shadow.schema.json\`. Editors check the file by the line
\`#:schema\` at its top.

\`\`\`text
#:schema http://127.0.0.1:8080/shadow.schema.json
app = "blog"
domains = ["blog.example.com"]
source = "."

[env]
LOG_LEVEL = "info"

[volume]
size = "1GiB"

[checks]
ready = "http:/healthz"
\`\`\`

${table(['field', 'type', 'default', 'what it says'], rows)}
## What is found in a folder

\`source\` needs no Dockerfile. The folder is looked at in this order, and the first row that fits is taken. A \`Procfile\` with \`web:\` gives
the command, and so does \`command\`. \`shadow init --dockerfile\` writes a Dockerfile to keep and change.

${table(
  ['language', 'looks for', 'runs', 'installs', 'base image', 'tried with'],
  languages.map(language => [language, ...FOUND[language], `\`${BASES[language]}\``, TRIED[language]]),
)}
What was tried is what [tests](../test/deploy/detected.test.ts) build and run in Docker. They reach no registry of images: the base images are
made of these programs, under the names above.
`
}

function rowsOf(
  properties: Readonly<Record<string, Json>>,
  defs: Readonly<Record<string, Json>>,
  base = '',
): string[][] {
  return Object.entries(properties).flatMap(([name, given]) => {
    const field = `${base}${name}`
    const schema = { ...refOf(given, defs), ...given }
    if (schema.properties !== undefined && field !== 'scale.concurrency')
      return rowsOf(schema.properties, defs, `${field}.`)
    const says = SAYS[field] ?? schema.description
    if (says === undefined) throw new Error(`no sentence says what ${field} of shadow.toml is`)
    const usual =
      DEFAULTS[field] ??
      (schema.default === undefined || typeof schema.default === 'object' ? '' : String(schema.default))
    return [[`\`${field}\``, typeOf(schema), usual === '' ? '' : `\`${usual}\``, says]]
  })
}

const refOf = ({ $ref }: Json, defs: Readonly<Record<string, Json>>): Json =>
  $ref === undefined ? {} : (defs[$ref.slice($ref.lastIndexOf('/') + 1)] ?? {})

function typeOf({ type, enum: values, anyOf, examples }: Json): string {
  if (values !== undefined) return values.map(value => `\`${value}\``).join(', ')
  if (anyOf !== undefined) return anyOf.map(typeOf).join(' or ')
  const example = typeof examples?.[0] === 'string' ? `, such as \`${examples[0]}\`` : ''
  return `${{ string: 'text', object: 'table', array: 'list', integer: 'number' }[String(type)] ?? String(type)}${example}`
}
