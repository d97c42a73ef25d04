import assert from 'node:assert/strict'
import { test } from 'vitest'
import { randomOf } from '../lib/random.ts'
import { EventQueue } from './event-queue.ts'

test('events run in the order of their time, and those of one moment in the order in which they came', async () => {
  const queue = new EventQueue()
  const random = randomOf(7)
  const ran: { at: number; order: number }[] = []
  for (let order = 0; order < 500; order++) {
    const at = Math.floor(random() * 50)
    queue.after(at, () => {
      assert.equal(queue.now(), at)
      ran.push({ at, order })
    })
  }
  await queue.runUntil(50)
  assert.equal(ran.length, 500)
  assert.deepEqual(
    ran,
    ran.toSorted((a, b) => a.at - b.at || a.order - b.order),
  )
})

test('the clock stops at the end that was given; later events wait, and a cancelled one never runs', async () => {
  const queue = new EventQueue()
  const ran: string[] = []
  queue.after(10, () => void ran.push('early'))
  queue.after(30, () => void ran.push('late'))
  queue.after(5, () => void ran.push('cancelled'))[Symbol.dispose]()
  await queue.runUntil(20)
  assert.deepEqual([ran, queue.now()], [['early'], 20])
  await queue.runUntil(30)
  assert.deepEqual(ran, ['early', 'late'])
})

test('an event that awaits something ends before the next one begins, and may add events', async () => {
  const queue = new EventQueue()
  const ran: string[] = []
  queue.after(1, async () => {
    ran.push('begins')
    await new Promise(resolve => setImmediate(resolve))
    queue.after(1, () => void ran.push(`added, at ${queue.now()}`))
    ran.push('ends')
  })
  queue.after(1.5, () => void ran.push('next'))
  queue.every(4, () => void ran.push(`at ${queue.now()}`))
  await queue.runUntil(9)
  assert.deepEqual(ran, ['begins', 'ends', 'next', 'added, at 2', 'at 4', 'at 8'])
})
