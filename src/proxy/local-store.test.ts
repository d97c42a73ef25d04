import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { noLog } from '../lib/log.ts'
import { openLocalStore } from './local-store.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shadow-test-memory-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('what is set is there after a restart, and only we can read it', () => {
  const first = openLocalStore({ folder, log: noLog })
  first.set('pin/blog', 'n1')
  first[Symbol.dispose]()
  using again = openLocalStore({ folder, log: noLog })
  assert.equal(again.get('pin/blog'), 'n1')
  assert.equal(statSync(`${folder}/hints`).mode & 0o777, 0o600)
})

test('the file of earlier versions, which kept the environments of apps, is removed', () => {
  for (const name of ['memory', 'memory-wal', 'memory-shm']) writeFileSync(`${folder}/${name}`, 'SECRET=1')
  using _store = openLocalStore({ folder, log: noLog })
  assert.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('memory')),
    [],
  )
})
