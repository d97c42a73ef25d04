import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'vitest'
import type { App } from '../model/app.ts'
import { hostname } from '../model/hostname.ts'
import type { WireCredential } from '../model/wire.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { type Answers, FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const HUSH = 'hush-5b1d'
const app = anApp(aTask({ revision: 2, volume: undefined, env: {} }))
const CHANGED: Answers = { changeSecrets: ({ body }) => ({ app, changed: Object.keys(body as object) }) }

/** Types a line. `stdin` comes by a pipe; `answers`: what a person types where the CLI asks. */
async function type(words: string[], given: { stdin?: string; answers?: string[] } = {}, answers: Answers = CHANGED) {
  await using master = await fakeMaster(answers)
  const env = { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }
  const { stdin, answers: typed } = given
  const piped = stdin === undefined ? {} : { stdin: Readable.from(stdin === '' ? [] : [Buffer.from(stdin)]) }
  const terminal = new FakeTerminal({ env, ...piped, ...(typed && { answers: typed }) })
  const exit = await run(['secrets', ...words], terminal)
  const [call] = master.calls
  return { exit, said: terminal.stdout + terminal.stderr, asked: terminal.asked, body: call?.body, query: call?.query }
}

describe('shadow secrets set', () => {
  test('asks for the value on a terminal, and prints it nowhere', async () => {
    const { exit, said, asked, body } = await type(['set', 'blog', 'KEY'], { answers: [HUSH] })
    assert.deepEqual([exit, asked, body], [0, ['Value of KEY: '], { KEY: HUSH }])
    assert.match(said, /blog is at release 2; changed: KEY/)
    assert.doesNotMatch(said, /hush/)
  })

  for (const secret of ['KEY', 'KEY=-'])
    test(`reads ${secret} from a pipe as it is, but for the newline at its end`, async () => {
      const { exit, body, said } = await type(['set', 'blog', secret], { stdin: `${HUSH}\nline two \n` })
      assert.deepEqual([exit, body], [0, { KEY: `${HUSH}\nline two ` }])
      assert.doesNotMatch(said, /hush|warning/)
    })

  test('takes a value from the command line with a warning, which does not repeat it', async () => {
    const { exit, body, said } = await type(['set', 'blog', `KEY=${HUSH}=x`, 'EMPTY='])
    assert.deepEqual([exit, body], [0, { KEY: `${HUSH}=x`, EMPTY: '' }])
    assert.match(said, /warning: the value of KEY was on the command line/)
    assert.doesNotMatch(said, /hush/)
  })

  for (const [words, given, says] of [
    [['A', 'B'], { stdin: 'x' }, /stdin has one value only/],
    [['KEY'], { stdin: '' }, /the value of KEY is empty; nothing was changed/],
    [['KEY=-'], {}, /nothing comes by a pipe/],
    [['KEY'], {}, /no value was given for KEY/],
    [['=x'], {}, /no name before its =/],
  ] as const)
    test(`refuses ${words.join(' ')}: ${says.source}`, async () => {
      const { exit, said, body } = await type(['set', 'blog', ...words], given)
      assert.deepEqual([exit, body], [2, undefined], said)
      assert.match(said, says)
    })

  test('--stage says what takes it, and which variable is in its way', async () => {
    const withVariable = { ...app, task: { ...app.task, env: { KEY: 'digest' } } }
    const { exit, said, query } = await type(
      ['set', 'blog', 'KEY', '--stage'],
      { stdin: HUSH },
      {
        ...CHANGED,
        getApp: () => withVariable,
      },
    )
    assert.deepEqual([exit, query?.['stage']], [0, 'true'])
    assert.match(said, /staged: KEY; the next release of blog takes it/)
    assert.match(said, /KEY is a variable too; take that away: shadow update blog --unset-env KEY/)
  })
})

test('shadow secrets unset takes all of the names away at once', async () => {
  const { exit, body, query } = await type(['unset', 'blog', 'A', 'B'])
  assert.deepEqual([exit, body, query?.['strict']], [0, { A: null, B: null }, 'true'])
})

test('shadow secrets import refuses a file of which it would lose a line, and repeats nothing of it', async () => {
  const { exit, said, body } = await type(['import', 'blog'], { stdin: `A=1\n${HUSH}\n` })
  assert.deepEqual([exit, body], [2, undefined])
  assert.match(said, /line 2: is not NAME=VALUE/)
  assert.doesNotMatch(said, /hush/)
})

test('shadow secrets ls shows names, short digests, since when, and what is staged', async () => {
  const digest = (of: string): string => `hmac-sha256:${of.repeat(32)}`
  const { said } = await type(
    ['ls', 'blog'],
    {},
    {
      listSecrets: () => ({
        version: 2,
        items: [
          { name: 'A', digest: digest('1'), since: 1 },
          { name: 'B', digest: digest('2'), since: 2 },
        ],
        staged: [
          { name: 'A', digest: null },
          { name: 'NEW', digest: digest('3') },
        ],
      }),
    },
  )
  assert.equal(
    said,
    `NAME  DIGEST        SINCE RELEASE  STAGED
A     111111111111  1              taken away
B     222222222222  2              -
NEW   -             -              333333333333
`,
  )
})

describe('a secret that is added to requests', () => {
  const reaching = (...wire: WireCredential[]) => anApp(aTask({ revision: 2, volume: undefined, env: {}, wire }))
  const kept = { secret: 'OLD', host: hostname('old.example.com'), header: 'X-Key', format: '{}' }
  /** The calls that change something, in order. */
  async function calls(words: string[], before: App) {
    await using master = await fakeMaster({
      changeSecrets: ({ body }) => ({ app: before, changed: Object.keys(body as object) }),
      getApp: () => before,
      updateApp: () => before,
    })
    const env = { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }
    const terminal = new FakeTerminal({ env, answers: [HUSH] })
    const exit = await run(['secrets', ...words], terminal)
    const changes = master.calls.filter(({ name }) => name === 'updateApp' || name === 'changeSecrets')
    return { exit, said: terminal.stdout + terminal.stderr, changes: changes.map(({ name, body }) => [name, body]) }
  }

  test('is made one before it gets its value, so that no release has it as a variable', async () => {
    const { exit, said, changes } = await calls(['set', 'blog', 'KEY', '--wire', 'API.example.com'], reaching(kept))
    const added = { secret: 'KEY', host: 'api.example.com', header: 'Authorization', format: 'Bearer {}' }
    assert.deepEqual(
      [exit, changes],
      [
        0,
        [
          ['updateApp', { wire: [kept, added] }],
          ['changeSecrets', { KEY: HUSH }],
        ],
      ],
    )
    assert.match(
      said,
      /KEY: added to requests of blog to api\.example\.com \(Authorization\), and not in its container/,
    )
    assert.doesNotMatch(said, /hush/)
  })

  test('that is one already gets its new value alone', async () => {
    const words = ['set', 'blog', 'OLD', '--wire', 'old.example.com', '--header', 'X-Key']
    const { changes } = await calls(words, reaching(kept))
    assert.deepEqual(changes, [['changeSecrets', { OLD: HUSH }]])
  })

  test('is taken away before its rule is', async () => {
    const { changes } = await calls(['unset', 'blog', 'OLD'], reaching(kept))
    assert.deepEqual(changes, [
      ['changeSecrets', { OLD: null }],
      ['updateApp', { wire: [] }],
    ])
  })

  for (const [what, flags] of [
    ['a header without a host', ['--header', 'X-Key']],
    ['a header that frames the request', ['--wire', 'a.example.com', '--header', 'Content-Length']],
    ['a format without the secret', ['--wire', 'a.example.com', '--format', 'Bearer']],
  ] as const)
    test(`is refused with ${what}, before its value is asked for`, async () => {
      const { exit, changes } = await calls(['set', 'blog', 'KEY', ...flags], reaching())
      assert.deepEqual([exit, changes], [2, []])
    })
})
