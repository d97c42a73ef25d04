// A thread for the tests of worker pools. It works until a test blocks it.
import { connect } from 'node:net'
import { workerData } from 'node:worker_threads'
import { Counts } from '../lib/shared/counts.ts'
import { runThread } from '../lib/threads/thread.ts'

export type BlockerData = { readonly memory: SharedArrayBuffer; readonly thread: number }
export type BlockerOrders = {
  take(key: string): boolean
  /** Never returns: it sleeps, or keeps the processor busy. */
  block(how: 'asleep' | 'busy'): void
  /** Raises an error that no code of the thread catches. */
  fail(how: 'event' | 'promise' | 'callback'): void
}

const { memory, thread } = workerData as BlockerData

await runThread(async ({ channel }) => {
  const counts = new Counts(memory, thread)
  channel.serve<BlockerOrders>({
    take: key => counts.take(key, 100),
    block: how => {
      if (how === 'asleep') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      for (;;);
    },
    fail: how => {
      if (how === 'promise') void Promise.reject(new Error('nobody waits'))
      else if (how === 'event') connect({ path: '/no/such/socket' })
      else
        setImmediate(() => {
          throw new TypeError('cut short')
        })
    },
  })
  return { [Symbol.asyncDispose]: async () => undefined }
})
