import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'vitest'
import { whileShown } from './spinner.ts'

function terminal() {
  const shown: (string | undefined)[] = []
  return { shown, live: (text: string | undefined) => void shown.push(text), now: () => Date.now() }
}

test('what takes long is shown until it ends, and taken away then, also where it fails', async () => {
  const one = terminal()
  const work = async (): Promise<number> => {
    while (one.shown.length === 0) await wait(20)
    return 7
  }
  assert.equal(await whileShown(one, 'waking blog', work), 7)
  assert.match(one.shown[0] ?? '', /^\| {3}waking blog \(\d+ s\)$/)
  assert.equal(one.shown.at(-1), undefined)
  const other = terminal()
  const fail = async (): Promise<never> => {
    while (other.shown.length === 0) await wait(20)
    throw new Error('oh')
  }
  await assert.rejects(whileShown(other, 'waking blog', fail), /oh/)
  assert.equal(other.shown.at(-1), undefined)
})

test('what is quick shows nothing', async () => {
  const one = terminal()
  await whileShown(one, 'waking blog', async () => 1)
  assert.deepEqual(one.shown, [])
})
