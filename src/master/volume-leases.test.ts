import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { App } from '../model/app.ts'
import { appName, nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { memoryStorage } from '../testing/memory-storage.ts'
import { volumeRecords } from './volumes.ts'

const N1 = nodeName('n1')

for (const { kind, forMs } of [
  { kind: 'expires', forMs: 60_000 },
  { kind: 'does not expire', forMs: undefined },
])
  test(`a lease that ${kind} and was ended for a node that is gone stays, if another machine has it by the same name since`, async () => {
    const app: App = anApp(aTask({ app: appName('blog') }))
    const id = app.task.volume?.id
    assert.ok(id)
    const records = { read: async () => ({ state: 'live', app, etag: '1' }) } as never
    const volumes = volumeRecords({ storage: memoryStorage(), records, clock: new HandClock() })
    await volumes.adopt(app)
    const { lease: first } = await volumes.lease(id, N1, { forMs })
    assert.ok(first)
    await volumes.release(id, N1, first.epoch)
    const { lease: second } = await volumes.lease(id, N1, { forMs })
    assert.ok(second)
    assert.notEqual(second.epoch, first.epoch)
    await volumes.endLease(id, first)
    await volumes.markLost(id, first)
    const { lease, lost } = await volumes.get(id)
    assert.deepEqual([lease, lost], [second, undefined])
    await volumes.endLease(id, second)
    assert.equal((await volumes.get(id)).lease, null)
  })
