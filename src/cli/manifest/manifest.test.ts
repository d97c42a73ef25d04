import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { RegisterSchema, ReplaceSchema } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import { nameOfFolder, RULES, readManifest } from './manifest.ts'
import { commandOf } from './normalise.ts'

const folder = await mkdtemp(join(tmpdir(), 'shadow-test-manifest-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

async function read(text: string, flags: { app?: string; image?: string } = {}) {
  await writeFile(join(folder, 'shadow.toml'), text)
  return readManifest({ path: folder, ...flags })
}

/** The faults of the file, one a line: `3:1 message`. */
async function faultsOf(text: string): Promise<readonly string[]> {
  const error = await read(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return []
  assert.ok(error instanceof ShadowError && error.code === 'bad-input', String(error))
  return (error.details.faults ?? []).map(({ field, message }) => `${field.split(':').slice(1).join(':')} ${message}`)
}

test('a whole file says all that a definition can say, in the form of the API', async () => {
  const manifest = await read(`
app = "blog"
domains = ["blog.example.com"]
dockerfile = "Dockerfile"
command = "node server.js"
port = 3000
egress = ["private"]
[env]
LEVEL = "info"
WORKERS = 2
DEBUG = false
[volume]
size = "1GiB"
[sleep]
idleAfter = "10m"
[limits]
memory = "256MiB"
[checks]
ready = "http:/healthz"
startWithin = "30s"
[access]
rate = "100/s"
[build]
args = { VERSION = "1" }
`)
  assert.deepEqual(manifest, {
    folder,
    app: 'blog',
    from: { kind: 'dockerfile', dockerfile: join(folder, 'Dockerfile'), context: folder },
    definition: {
      domains: ['blog.example.com'],
      command: ['node', 'server.js'],
      port: 3000,
      egress: ['private'],
      env: { LEVEL: 'info', WORKERS: '2', DEBUG: 'false' },
      volume: { size: '1GiB' },
      sleep: { idleAfter: '10m' },
      limits: { memory: '256MiB' },
      ready: { kind: 'http', path: '/healthz' },
      startWithin: '30s',
    },
    rules: { access: { rate: '100/s' } },
    build: { args: { VERSION: '1' } },
  })
})

test('every fault is told of at once, with its place, its value and how to mend it', async () => {
  const faults = await faultsOf(`app = "Blog"
image = "ghost:6"
port = 80000
prot = 8000
[limits]
memory = "12Q"
[volume]
size = "1KiB"
[checks]
ready = "tcp"
[sleep]
idle_after = "5m"
[env]
"A B" = "x"
`)
  assert.deepEqual(faults, [
    '1:1 app: app name "Blog": "B" at position 0; use a-z, 0-9 and -',
    '3:1 port = 80000: must be at most 65535',
    '4:1 prot is not a known field; did you mean "port"?',
    '6:1 limits.memory: "12Q" is not a size; write it like 512MiB or 1GiB',
    '8:1 volume.size = "1KiB": is too small; a volume takes at least 16MiB',
    '10:1 checks.ready: "tcp" is none of port, http:/path, log:REGEX, healthcheck, started',
    '12:1 sleep.idle_after is not a known field; did you mean "idleAfter"?',
    '14:1 env.A B = "x": a variable is named without spaces and =, and begins with no digit',
  ])
})

test('lines that are no TOML are all told of, beside faults of lines that are', async () => {
  assert.deepEqual(await faultsOf('app = blog\nport = \nimage = "ghost"\nimage = "other"\n[limits]\ncpus = "many"\n'), [
    '1:7 app = blog: text is written in quotes: app = "blog"',
    '2:7 port =: a value is missing after "="',
    '4:1 image = "other": it is there already; write it once',
    '6:1 limits.cpus = "many": must be a number',
  ])
  assert.deepEqual(await faultsOf('image = "a"\n[limits\nmemory = "1GiB"\nport = 0\n'), [
    '2:8 [limits: a table is written like [name], in a line of its own',
  ])
})

test('exactly one of image, dockerfile and source is given', async () => {
  assert.deepEqual(await faultsOf('app = "blog"\n'), [
    '1:1 says nothing to run; give one of image, dockerfile and source',
  ])
  assert.deepEqual(await faultsOf('image = "a"\nsource = "."\n'), [
    '2:1 source = ".": cannot be given beside image; give one of image, dockerfile and source',
  ])
  const { from, app } = await read('app = "blog"\nsource = "."\n', { image: 'ghost:7', app: 'shop' })
  assert.deepEqual([from, app], [{ kind: 'image', image: 'ghost:7' }, 'shop'])
})

test('what an app has beside its definition is known, so that a deploy sets it', async () => {
  const inDefinition = new Set(Object.keys(ReplaceSchema.shape))
  const beside = Object.keys(RegisterSchema.shape).filter(
    field => field !== 'name' && field !== 'secrets' && !inDefinition.has(field),
  )
  assert.deepEqual(beside.sort(), [...RULES].sort())
  const { rules } = await read('image = "a"\n[wake]\n')
  assert.deepEqual(rules, { wake: {} })
})

test('rules that concern several fields are those of the API', async () => {
  assert.deepEqual(await faultsOf('image = "a"\n[volume]\nsize = "1GiB"\n[scale]\nmax = 3\n'), [
    '5:1 scale.max = 3: is 3, but the app has a volume, and a volume is mounted by one instance at a time; 1 at most',
  ])
  assert.deepEqual(await faultsOf('image = "a"\n[concurrency]\nsoft = 10\nhard = 5\n'), [
    '2:1 scale.concurrency: the soft limit is 10, more than the hard one, which is 5',
  ])
})

test('a field of another platform is told of by its name here', async () => {
  assert.deepEqual(await faultsOf('image = "a"\n[mounts]\nsource = "data"\n[env]\n[vm]\n'), [
    '2:1 mounts is not a known field; here it is [volume]',
    '5:1 vm is not a known field; here it is [limits]',
  ])
})

test('a folder without shadow.toml is told of shadow init', async () => {
  await assert.rejects(readManifest({ path: join(folder, 'absent') }), (error: unknown) => {
    assert.ok(error instanceof ShadowError)
    assert.match(error.message, /there is no shadow.toml in /)
    return /^make one: shadow init /.test(error.details.hint ?? '')
  })
})

for (const [text, words] of [
  ['node server.js', ['node', 'server.js']],
  ['  gunicorn   app:app ', ['gunicorn', 'app:app']],
  ['gunicorn --bind 0.0.0.0:$PORT app', ['sh', '-c', 'exec gunicorn --bind 0.0.0.0:$PORT app']],
  ['npm run migrate && npm start', ['sh', '-c', 'npm run migrate && npm start']],
  ['NODE_ENV=production node x.js', ['sh', '-c', 'NODE_ENV=production node x.js']],
] as const)
  test(`the command "${text}" is ${JSON.stringify(words)}`, () => assert.deepEqual(commandOf(text), words))

test('a folder gives its name to an app', () => {
  assert.deepEqual(['/x/My Blog_2', '/x/-.-', '/x/a'].map(nameOfFolder), ['my-blog-2', 'app', 'a'])
})

test('the idle check may be written as text', async () => {
  const toml = (check: string): string => `app = "blog"\nimage = "ghost"\n[sleep]\nidleCheck = ${check}\n`
  assert.deepEqual((await read(toml('"command:test ! -e /tmp/busy"'))).definition['sleep'], {
    idleCheck: { kind: 'command', command: ['sh', '-c', 'test ! -e /tmp/busy'] },
  })
  assert.deepEqual((await read(toml('{ kind = "command", command = ["/idle"] }'))).definition['sleep'], {
    idleCheck: { kind: 'command', command: ['/idle'] },
  })
  assert.match((await faultsOf(toml('"soon"')))[0] ?? '', /4:\d+ sleep.idleCheck: "soon" is none of http:/)
})

test('pages are files beside shadow.toml; one that is missing or no HTML is told with its line', async () => {
  const toml = (path: string): string => `app = "blog"\nimage = "ghost"\n[pages]\nwaiting = "${path}"\n`
  await writeFile(join(folder, 'waiting.html'), '<!doctype html><h1>Soon</h1>')
  assert.deepEqual((await read(toml('waiting.html'))).rules.pages, { waiting: '<!doctype html><h1>Soon</h1>' })
  assert.match((await faultsOf(toml('none.html')))[0] ?? '', /^4:\d+ pages.waiting = "none.html": ENOENT/)
  assert.match((await faultsOf(toml('shadow.toml')))[0] ?? '', /begins with <!doctype html>/)
  assert.match(
    (await faultsOf('image = "x"\n[pages]\nsleeping = "a"\n'))[0] ?? '',
    /pages.sleeping is not a known field/,
  )
})
