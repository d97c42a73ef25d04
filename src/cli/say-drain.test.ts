import assert from 'node:assert/strict'
import { test } from 'vitest'
import { instanceView } from '../testing/fake-node.ts'
import { sayCut, sayDrain } from './say-drain.ts'

const view = instanceView('blog', 'n1', 'awake')
const use = { kind: 'request', what: 'GET /', since: view.since } as const
const drain = { stopMs: 10_000, updateMs: 30_000 }

test('a command that stops an app in use says how long that may go on, and what was cut of it', () => {
  assert.equal(sayDrain({ ...view, drain }, 'stopMs'), '')
  assert.match(sayDrain({ ...view, drain, holds: [use] }, 'stopMs'), /^1 use of it has up to 10s to end/)
  assert.match(sayDrain({ ...view, drain, holds: [use, use] }, 'updateMs'), /^2 uses of it have up to 30s to end/)
  assert.equal(sayCut({ ...view, cut: 0 }), '')
  assert.equal(sayCut({ ...view, cut: 2 }), '2 uses of it were cut\n')
})
