import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { shadow } from '../testing/cli.ts'
import { anApp } from '../testing/fake-app.ts'

const VOLUME = { id: 'blog', app: 'blog', size: '1GiB', lease: null, createdAt: '2026-11-01T00:00:00.000Z' }

for (const line of ['ps --watch', 'node ls --watch', 'volume ls --watch', 'ps --watch --json'])
  test(`${line} reads again and again, and prints in a pipe what has changed`, async () => {
    let reads = 0
    const read = <T>(value: T) => {
      reads += 1
      if (reads > 2) throw new ShadowError('storage-unreachable', 'the end of this test')
      return value
    }
    const { exit, terminal } = await shadow(line, {
      listApps: () => ({ items: [anApp()], next: null }),
      listInstances: () => read({ items: [], silent: reads === 1 ? ['n9'] : [] }),
      listNodes: () => read({ items: [] }),
      listVolumes: () => read({ items: [{ ...VOLUME, size: `${reads + 1}GiB` }], next: null }),
    })
    assert.equal(reads, 3)
    assert.equal(exit, 7, terminal.stderr)
    if (line === 'ps --watch') assert.match(terminal.stdout, /blog +asleep[\s\S]*node n9 does not answer/)
    if (line.startsWith('volume')) assert.match(terminal.stdout, /blog +1GiB[\s\S]*blog +2GiB/)
    if (line.endsWith('--json'))
      assert.equal(
        terminal.stdout
          .trimEnd()
          .split('\n')
          .map(text => JSON.parse(text)).length,
        2,
      )
  })
