import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { shadow } from '../testing/cli.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const app = { name: 'blog', domains: ['blog.localhost', 'blog.example.com'], task: { revision: 1 } }

test('shadow open --print prints the first URL of the app and opens nothing', async () => {
  const { exit, terminal } = await shadow('open blog --print', { getApp: () => app })
  assert.deepEqual([exit, terminal.stdout], [0, 'http://blog.localhost/\n'])
})

test('shadow open starts the program of BROWSER with the URL', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-open-'))
  try {
    const browser = join(folder, 'browser')
    await writeFile(browser, `#!/bin/sh\necho "$1" >${folder}/part && mv ${folder}/part ${folder}/opened\n`)
    await chmod(browser, 0o755)
    const { exit, stderr } = await opened(browser)
    assert.equal(exit, 0, stderr)
    let url: string | undefined
    while (url === undefined) url = await readFile(join(folder, 'opened'), 'utf8').catch(() => undefined)
    assert.equal(url, 'http://blog.localhost/\n')
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a browser that cannot be started is an error that shows the URL', async () => {
  const { exit, stderr } = await opened('/no/such/browser')
  assert.notEqual(exit, 0)
  assert.match(stderr, /\/no\/such\/browser cannot be started/)
  assert.match(stderr, /http:\/\/blog\.localhost\//)
})

async function opened(BROWSER: string): Promise<{ exit: number; stderr: string }> {
  await using master = await fakeMaster({ getApp: () => app })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN, BROWSER } })
  return { exit: await run(['open', 'blog'], terminal), stderr: terminal.stderr }
}
