import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { shadow } from '../testing/cli.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const link = { url: 'https://master.example.com/#code=abc', until: '2027-01-01T00:02:00.000Z' }
const handlers = { createDashboardLink: () => link }

test('shadow dashboard --print prints a one-time link and opens nothing', async () => {
  const { exit, terminal } = await shadow('dashboard --print', handlers)
  assert.deepEqual([exit, terminal.stdout], [0, `${link.url}\n`])
  assert.match(terminal.stderr, /once, until 2027-01-01T00:02/)
})

test('shadow dashboard --json prints the link and how long it is good', async () => {
  const { exit, terminal } = await shadow('dashboard --json', handlers)
  assert.deepEqual([exit, JSON.parse(terminal.stdout)], [0, link])
})

test('shadow dashboard opens the link in the browser', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-dashboard-'))
  try {
    const browser = join(folder, 'browser')
    await writeFile(browser, `#!/bin/sh\necho "$1" >${folder}/part && mv ${folder}/part ${folder}/opened\n`)
    await chmod(browser, 0o755)
    await using master = await fakeMaster(handlers)
    const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN, BROWSER: browser } })
    assert.equal(await run(['dashboard'], terminal), 0, terminal.stderr)
    let url: string | undefined
    while (url === undefined) url = await readFile(join(folder, 'opened'), 'utf8').catch(() => undefined)
    assert.equal(url, `${link.url}\n`)
  } finally {
    await rm(folder, { recursive: true })
  }
})
