import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, vi } from 'vitest'
import { type Answers, FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { verbs } from './commands.ts'
import { complete } from './completion.ts'
import { openContexts } from './contexts.ts'

/** The suggestions for the last word, without their descriptions. */
async function suggested(line: string, answers: Answers = {}, env: Record<string, string> = {}): Promise<string[]> {
  await using master = await fakeMaster(answers)
  const printed = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN, ...env } })
  await complete(line.split(' '), verbs, terminal)
  const lines = printed.mock.calls.map(([text]) => String(text))
  printed.mockRestore()
  assert.match(lines.pop() ?? '', /^:\d+$/)
  return lines.map(text => text.split('\t')[0] ?? '')
}

const apps: Answers = {
  listApps: ({ query }) =>
    query['after'] === undefined
      ? { items: [{ name: 'blog' }, { name: 'shop' }], next: 'shop' }
      : { items: [{ name: 'blog-test' }], next: null },
}

test('a command is completed', async () => {
  assert.deepEqual(await suggested('reg'), ['register'])
})

test('a flag is completed, of the command that is typed alone', async () => {
  assert.deepEqual(await suggested('remove --'), [
    '--with-volume',
    '--dry-run',
    '--yes',
    '--json',
    '--context',
    '--help',
  ])
})

test('a sub-command is completed, and its flags', async () => {
  assert.deepEqual(await suggested('token c'), ['create'])
  assert.ok((await suggested('node drain --')).includes('--deadline'))
})

test('names of apps come from the master, all pages of them', async () => {
  assert.deepEqual(await suggested('why ', apps), ['blog', 'shop', 'blog-test'])
  assert.deepEqual(await suggested('logs bl', apps), ['blog', 'blog-test'])
})

test('names of nodes and volumes come from the master', async () => {
  assert.deepEqual(await suggested('node drain ', { listNodes: () => ({ items: [{ name: 'n-1' }] }) }), ['n-1'])
  const volumes = { items: [{ id: 'old' }], next: null }
  assert.deepEqual(await suggested('volume rm ', { listVolumes: () => volumes }), ['old'])
})

test('where no master answers, nothing is suggested and nothing is printed on stderr', async () => {
  assert.deepEqual(await suggested('why ', {}, { SHADOW_URL: 'http://127.0.0.1:1' }), [])
  assert.deepEqual(await suggested('why '), []) // the master refuses
})

test('the values of a flag are completed', async () => {
  assert.deepEqual(await suggested('token create --role p'), ['proxy'])
})

test('names of contexts are completed, and the context on the line is asked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-completion-'))
  try {
    await using other = await fakeMaster(apps)
    const contexts = await openContexts(join(folder, 'shadow/contexts.json'))
    await contexts.add('other', { url: other.url, token: FAKE_TOKEN })
    const env = { XDG_CONFIG_HOME: folder, HOME: folder }
    assert.deepEqual(await suggested('context use ', {}, env), ['other'])
    assert.deepEqual(await suggested('why --context ', {}, env), ['other'])
    assert.deepEqual(await suggested('why --context other sh', {}, env), ['shop'])
  } finally {
    await rm(folder, { recursive: true })
  }
})

for (const word of ['', '__proto__', 'constructor', 'nonsense'])
  test(`"${word}" and a second word suggest nothing that is not there`, async () => {
    assert.deepEqual(await suggested(`${word} x`), [])
  })
