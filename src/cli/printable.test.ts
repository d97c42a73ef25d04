import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const app = anApp(aTask({ env: { PASSWORD: 'hush', TOKEN: `hmac-sha256:${'0'.repeat(32)}` }, volume: undefined }))

for (const line of ['status blog', 'why blog', 'ps', 'register blog --image x', 'update blog --image y'])
  test(`shadow ${line} --json asks for digests, and prints no value of a variable`, async () => {
    await using master = await fakeMaster({
      getApp: () => app,
      listApps: () => ({ items: [app], next: null }),
      listInstances: () => ({ items: [], silent: [] }),
      registerApp: () => app,
      updateApp: () => app,
      getInstance: () => {
        throw new ShadowError('not-found', 'no node has it')
      },
      getPlacement: () => ({ rejected: [] }),
    })
    const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
    for (const json of [[], ['--json']]) {
      assert.equal(await run([...line.split(' '), ...json], terminal), 0, terminal.stderr)
      assert.doesNotMatch(terminal.stdout + terminal.stderr, /hush/)
    }
    if (/status/.test(line)) assert.match(terminal.stdout, /"PASSWORD":"sha256:[0-9a-f]{32}","TOKEN":"hmac-sha256:0+"/)
    for (const { name, query } of master.calls) if (/App/.test(name)) assert.equal(query['env'], 'digests', name)
  })
