import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { ShadowError } from '../../src/lib/errors.ts'
import { anApp, aTask } from '../../src/testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../../src/testing/fake-master.ts'
import { installed } from '../tools/installed.ts'

// The output of an app goes to a terminal (a real one, made by `script`) and into a pipe.
const run = promisify(execFile)
const EVIL = 'ok\r2026-01-01 00:00:00Z # awake \x1b[2J\x1b]0;title\x07 \x9b31m \x7f \u202e'
const ESCAPED = 'ok\\r2026-01-01 00:00:00Z # awake \\x1b[2J\\x1b]0;title\\x07 \\u009b31m \\u007f \\u202e'
const RELEASE = {
  revision: 1,
  createdAt: '2026-01-01T00:00:00Z',
  made: null,
  digest: null,
  secretsVersion: null,
  isCurrent: true,
  serves: false,
  outcome: null,
  changes: [],
}
const LINES = `${JSON.stringify({ at: '2026-01-01T00:00:00.000Z', stream: 'stdout', line: EVIL })}\n`

let built: Awaited<ReturnType<typeof installed>>
let master: Awaited<ReturnType<typeof fakeMaster>>
beforeAll(async () => {
  built = await installed()
  const app = anApp(aTask({ image: EVIL, command: [EVIL], volume: undefined }))
  const instance = {
    app: 'blog',
    node: 'n1',
    phase: 'crashed',
    since: '2026-01-01T00:00:00Z',
    holds: [{ kind: 'request', what: EVIL, since: '2026-01-01T00:00:00Z' }],
    held: [],
    wokenBy: EVIL,
    problem: new ShadowError('app-crashed', `its last lines:\n${EVIL}`).toProblem(),
    failures: 1,
  }
  master = await fakeMaster({
    getApp: ({ params }) => {
      if (params['app'] !== 'blog') throw new ShadowError('app-crashed', EVIL, { hint: EVIL })
      return app
    },
    getInstance: () => instance,
    appLogs: () => LINES,
    listReleases: () => ({ items: [{ ...RELEASE, image: EVIL }], silent: [] }),
    getDefinition: () => ({ name: 'blog', image: 'x', env: { SECRET: 'kept' } }),
  })
})
afterAll(async () => {
  await master[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})

const env = () => ({ ...process.env, SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN, TERM: 'xterm' })

async function onTerminal(line: string): Promise<string> {
  const { stdout } = await run('script', ['--quiet', '--command', `${built.shadow} ${line}`, '/dev/null'], {
    env: env(),
  })
  return stdout.replaceAll('\r\n', '\n')
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: our own styles, as printed
const withoutStyles = (text: string): string => text.replace(/\x1b\[(2|22|31|32|33|36|39)m/g, '')

for (const line of ['logs blog', 'status blog', 'why blog', 'releases blog', 'status other'])
  test(`on a terminal, shadow ${line} escapes what comes from others`, async () => {
    const shown = withoutStyles(await onTerminal(line))
    assert.ok(shown.includes(ESCAPED), shown)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no control character may be left
    assert.doesNotMatch(shown, /[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/)
  })

test('our own styles are there on a terminal, and no mark of them', async () => {
  const shown = await onTerminal('logs blog')
  assert.equal(shown, `\x1b[2m2026-01-01 00:00:00Z\x1b[22m   ${ESCAPED}\n`)
})

test('on a terminal, --raw gives what the app wrote', async () => {
  for (const line of ['logs blog --raw', 'status blog --raw', 'why blog --raw'])
    assert.ok((await onTerminal(line)).includes(EVIL), line)
})

test('in a pipe what the app wrote is as it is', async () => {
  const { stdout } = await run(built.shadow, ['logs', 'blog'], { env: env() })
  assert.equal(stdout, `2026-01-01 00:00:00Z   ${EVIL}\n`)
})

test('on a terminal, JSON stays JSON', async () => {
  const [line = ''] = (await onTerminal('logs blog --json')).split('\n')
  assert.equal(JSON.parse(line).line, EVIL)
})

test('a passphrase is asked for on the terminal though stdout is a file, twice, and is not shown', async () => {
  const file = join(process.env['TMPDIR'] ?? '/tmp', `exported-${process.pid}`)
  const typing = spawn(
    'script',
    ['--quiet', '--return', '--command', `${built.shadow} export blog > ${file}`, '/dev/null'],
    {
      env: env(),
    },
  )
  let shown = ''
  let asked = 0
  typing.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    const questions = shown.split(/: /).length - 1
    for (; asked < Math.min(questions, 2); asked++) typing.stdin.write('not to bee\u007f\u007f seen\r')
  })
  const code = await new Promise(resolve => typing.on('close', resolve))
  assert.equal(code, 0, shown)
  assert.match(shown, /Passphrase of the secrets: \r\nThe same again: \r\nblog is exported/)
  assert.ok(!shown.includes('seen'))
  assert.equal((await readFile(file)).readUInt32LE(), 0xfd2fb528, 'it is zstd')
  await rm(file)
})
