import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { Entry } from './entries.ts'
import { changesBetween } from './watch.ts'

const entry = (path: string, more: Partial<Entry> = {}): Entry => ({
  ...{ path, type: 'file', size: 0, mode: 0o644, inode: path, owner: 'user', group: 'user' },
  ...{ modifiedAt: '', facts: '' },
  ...more,
})
const changes = (before: Entry[], after: Entry[]): string[] => {
  const byPath = (all: Entry[]) => new Map(all.map(one => [one.path, one]))
  return changesBetween(byPath(before), byPath(after)).map(({ path, type }) => `${type.slice(11)} ${path}`)
}

test('what was made, written, changed in its mode or removed between two looks is told', () => {
  assert.deepEqual(changes([entry('/a')], [entry('/a')]), [])
  assert.deepEqual(changes([], [entry('/a')]), ['CREATE /a'])
  assert.deepEqual(changes([], [entry('/a', { size: 1 })]), ['CREATE /a', 'WRITE /a'])
  assert.deepEqual(changes([entry('/a')], [entry('/a', { facts: 'later' })]), ['WRITE /a'])
  assert.deepEqual(changes([entry('/a')], [entry('/a', { inode: 'other' })]), ['WRITE /a'], 'another file in its place')
  assert.deepEqual(changes([entry('/a')], [entry('/a', { mode: 0o600, facts: 'later' })]), ['CHMOD /a'])
  assert.deepEqual(changes([entry('/a')], []), ['REMOVE /a'])
})

test('a folder is not written by what happens in it, and a name that moves is renamed', () => {
  assert.deepEqual(changes([entry('/d', { type: 'folder' })], [entry('/d', { type: 'folder', facts: 'later' })]), [])
  const moved = [entry('/a', { inode: '7', size: 3 })]
  assert.deepEqual(changes(moved, [entry('/b', { inode: '7', size: 3 })]), ['RENAME /a', 'CREATE /b'])
})
