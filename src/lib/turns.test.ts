import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Turns } from './turns.ts'

const never = new AbortController().signal
const settled = () => new Promise(resolve => setImmediate(resolve))
const dispose = (turn: Disposable): void => turn[Symbol.dispose]()

/** Takes turns by name, and notes in which order they are had. */
function taking(most: number) {
  const turns = new Turns<string>(most)
  const had: string[] = []
  const running = new Map<string, Disposable>()
  const take = (name: string, of = name, signal = never): Promise<void> =>
    turns.take(of, signal).then(turn => {
      had.push(name)
      running.set(name, turn)
    })
  const end = async (name: string): Promise<void> => {
    const turn = running.get(name)
    assert.ok(turn)
    dispose(turn)
    dispose(turn) // a second time is no other turn
    await settled()
  }
  return { turns, had, take, end }
}

test('so many run at a time, and the others in the order in which they came', async () => {
  const { turns, had, take, end } = taking(2)
  for (const name of ['a', 'b', 'c', 'd', 'e']) void take(name)
  await settled()
  assert.deepEqual([had, turns.waiting], [['a', 'b'], 3])
  await end('b')
  assert.deepEqual(had, ['a', 'b', 'c'])
  await end('a')
  await end('c')
  assert.deepEqual([had, turns.waiting], [['a', 'b', 'c', 'd', 'e'], 0])
  await end('d')
  await end('e')
  void take('f')
  void take('g')
  void take('h')
  await settled()
  assert.deepEqual(had.slice(5), ['f', 'g'])
})

test('a key with many tasks does not keep others waiting', async () => {
  const { had, take, end } = taking(1)
  for (const name of ['big-1', 'big-2', 'big-3', 'big-4']) void take(name, 'big')
  void take('small')
  await settled()
  await end('big-1')
  await end('big-2')
  assert.deepEqual(had, ['big-1', 'big-2', 'small'])
  await end('small')
  await end('big-3')
  assert.deepEqual(had, ['big-1', 'big-2', 'small', 'big-3', 'big-4'])
})

test('who leaves the queue gives up its place alone', async () => {
  const { turns, had, take, end } = taking(1)
  const leaving = new AbortController()
  void take('a')
  const left = take('b', 'b', leaving.signal)
  void take('c')
  await settled()
  leaving.abort(new Error('left'))
  await assert.rejects(left, /left/)
  await end('a')
  assert.deepEqual([had, turns.waiting], [['a', 'c'], 0])
})

test('who leaves at the moment of its turn gives it to the next one', async () => {
  const { had, take, end } = taking(1)
  const leaving = new AbortController()
  void take('a')
  const left = take('b', 'b', leaving.signal)
  left.catch(() => undefined)
  void take('c')
  await settled()
  const ended = end('a')
  leaving.abort(new Error('left'))
  await ended
  const gotIt = had.includes('b')
  if (gotIt) await end('b')
  else await assert.rejects(left, /left/)
  assert.equal(had.at(-1), 'c')
})

test('a task gives its turn back, whether it succeeds or fails', async () => {
  const turns = new Turns<string>(1)
  await assert.rejects(
    turns.run('a', () => Promise.reject(new Error('failed')), never),
    /failed/,
  )
  assert.equal(await turns.run('a', async () => 1, never), 1)
})
