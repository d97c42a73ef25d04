import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { appName } from '../model/names.ts'
import { Queue } from './queue.ts'

const [blog, shop] = [appName('blog'), appName('shop')]
const isFull = (told: RegExp) => (error: unknown) => isFailure(error, 'queue-full') && told.test(error.message)

test('requests that wait are bounded in bytes, for an app and for the node, and leaving makes room', () => {
  const queue = new Queue({ perApp: { requests: 10, bytes: 100 }, perNode: { requests: 10, bytes: 150 } })
  const first = queue.join(blog, 80)
  assert.throws(() => queue.join(blog, 21), isFull(/wait for blog take 80B already, of 100B/))
  const second = queue.join(shop, 70)
  assert.throws(() => queue.join(shop, 1), isFull(/wait on this node take 150B already/))
  second[Symbol.dispose]()
  first[Symbol.dispose]()
  queue.join(blog, 100)
})

test('requests that wait are bounded in number, for an app and for the node', () => {
  const bytes = 1_000
  const queue = new Queue({ perApp: { requests: 1, bytes }, perNode: { requests: 2, bytes } })
  queue.join(blog, 1)
  assert.throws(() => queue.join(blog, 1), isFull(/1 requests wait for blog/))
  queue.join(shop, 1)
  assert.throws(() => queue.join(appName('third'), 1), isFull(/2 requests wait on this node/))
})
