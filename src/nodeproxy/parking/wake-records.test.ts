import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { WakeRecords } from './wake-records.ts'

const HOUR = 3_600_000
const [a, b] = [instanceId(appName('a')), instanceId(appName('b'))]
let folder: string
let records: WakeRecords

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-wakes-'))
  records = new WakeRecords({ file: `${folder}/wakes.json`, log: noLog })
})
afterEach(() => rm(folder, { recursive: true }))

describe('an instance is the likelier to be woken', () => {
  test('the later it was woken', () => {
    records.woken(a, false, 0)
    records.woken(b, false, HOUR)
    assert.ok(records.score(b, 2 * HOUR) > records.score(a, 2 * HOUR))
  })

  test('the more often it was woken, and that counts less and less', () => {
    for (let at = 0; at < 5; at += 1) records.woken(a, false, at * HOUR)
    records.woken(b, false, 5 * HOUR)
    assert.ok(records.score(a, 6 * HOUR) > records.score(b, 6 * HOUR))
    assert.ok(records.score(a, 5 * HOUR) > 10 * records.score(a, 60 * HOUR))
  })

  test('if its schedule comes soon, as its last runs tell', () => {
    for (const at of [0, 10, 20]) records.woken(a, true, at * HOUR)
    for (let at = 0; at < 50; at += 1) records.woken(b, false, 20 * HOUR)
    assert.ok(records.score(a, 29.8 * HOUR) < records.score(b, 29.8 * HOUR))
    assert.ok(records.score(a, 29.95 * HOUR) > records.score(b, 29.95 * HOUR))
    assert.ok(records.score(a, 30.5 * HOUR) < records.score(b, 30.5 * HOUR))
  })

  test('which runs without a rhythm do not', () => {
    for (const at of [0, 3, 20]) records.woken(a, true, at * HOUR)
    assert.ok(records.score(a, 37 * HOUR) < 3)
  })

  test('and not at all if it never was', () => assert.equal(records.score(a, 0), 0))
})

test('records are kept for the next run, without those of long ago', async () => {
  records.woken(a, false, 0)
  records.woken(b, false, 100 * HOUR)
  await records.keep(100 * HOUR)
  const next = new WakeRecords({ file: `${folder}/wakes.json`, log: noLog })
  await next.load()
  assert.deepEqual([next.score(a, 100 * HOUR), next.score(b, 100 * HOUR)], [0, 1])
})

test('a file that is none is replaced', async () => {
  await writeFile(`${folder}/wakes.json`, '{"a": ')
  await records.load()
  records.woken(a, false, 0)
  await records.keep(0)
  await records.load()
  assert.equal(records.score(a, 0), 1)
})
