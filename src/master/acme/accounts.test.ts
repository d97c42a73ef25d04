import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Seals, sealKeys } from '../../lib/seals.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { accountRecords } from './accounts.ts'

test('two first orders at a time use one account, and both may keep where it is', async () => {
  const accounts = accountRecords({
    storage: memoryStorage(),
    seals: new Seals(sealKeys(TEST_SECRETS_KEY)),
    clock: new HandClock(),
  })
  const [one, two] = await Promise.all([accounts.at('https://ca'), accounts.at('https://ca')])
  assert.equal(one.key, two.key)
  await Promise.all(['a', 'a'].map(() => accounts.setUrl('https://ca', 'https://ca/account/1')))
  assert.deepEqual(await accounts.at('https://ca'), { key: one.key, url: 'https://ca/account/1' })
})
