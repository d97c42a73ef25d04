import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { isFailure, ShadowError } from '../errors.ts'
import { Channel } from './channel.ts'

type There = {
  double(input: number): Promise<number>
  fail(input: ShadowError['code'] | 'other'): never
  wait(input: null, cancellation: { signal: AbortSignal }): Promise<string>
  note(input: string): void
}

function channels() {
  const { port1, port2 } = new MessageChannel()
  const notes: string[] = []
  const gate = Promise.withResolvers<string>()
  let left: unknown
  const there = new Channel(port2)
  there.serve({
    double: async (input: number) => input * 2,
    fail: (input: string) => {
      throw input === 'other'
        ? new Error('something')
        : new ShadowError(input as 'bad-input', 'no', { facts: { n: 1 } })
    },
    wait: (_: null, { signal }: { signal: AbortSignal }) => {
      signal.addEventListener('abort', () => {
        left = signal.reason
      })
      return gate.promise
    },
    note: (input: string) => void notes.push(input),
  })
  const here = new Channel(port1)
  const close = (): void => {
    port1.close()
    port2.close()
  }
  return { here, other: here.other<There>(), there, notes, gate, left: () => left, close }
}

test('a call is answered, a failure is the same error, and what is told comes before what is called after it', async () => {
  const { other, notes, close } = channels()
  other.notify('note', 'first')
  expect(await Promise.all([other.call('double', 2), other.call('double', 3)])).toEqual([4, 6])
  expect(notes).toEqual(['first'])
  const error = await other.call('fail', 'queue-full').catch(thrown => thrown)
  expect([error.code, error.message, error.details.facts]).toEqual(['queue-full', 'no', { n: 1 }])
  expect(isFailure(await other.call('fail', 'other').catch(thrown => thrown), 'internal')).toBe(true)
  close()
})

test('who leaves is let go at once, the other side is told, and a late answer is not lost', async () => {
  const { other, gate, left, close } = channels()
  const cancellation = new AbortController()
  const late = Promise.withResolvers<string>()
  const waits = other.call('wait', null, cancellation, late.resolve)
  await other.call('double', 1)
  cancellation.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
  await other.call('double', 1)
  expect(isFailure(left(), 'client-gone')).toBe(true)
  gate.resolve('late')
  expect(await late.promise).toBe('late')
  close()
})

test('a side that has ended fails who waits for it, and calls off what it waits for', async () => {
  const { here, there, other, left, close } = channels()
  const waits = other.call('wait', null).catch(thrown => thrown)
  await other.call('double', 1)
  there[Symbol.dispose]()
  here[Symbol.dispose]()
  expect(isFailure(await waits, 'shutting-down')).toBe(true)
  expect(isFailure(left(), 'shutting-down')).toBe(true)
  expect(isFailure(await other.call('double', 1).catch(thrown => thrown), 'shutting-down')).toBe(true)
  close()
})
