import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { ExitWatch } from './exit-watch.ts'
import type { Container, Exit } from './runtime/runtime.ts'

type Asked = { readonly tells: (exit: Exit | undefined) => void; readonly fails: (error: Error) => void }

let asked: Asked[]
let told: string[]
let watch: ExitWatch

beforeEach(() => {
  asked = []
  told = []
  const exited = (_: Container, signal: AbortSignal): Promise<Exit | undefined> => {
    const { promise, resolve, reject } = Promise.withResolvers<Exit | undefined>()
    signal.addEventListener('abort', () => reject(signal.reason as Error))
    asked.push({ tells: resolve, fails: reject })
    return promise
  }
  watch = new ExitWatch({} as Container, { exited })
  watch.listen({ ended: ({ exitCode }) => told.push(`ended ${exitCode}`), lost: () => told.push('lost') })
})

const soon = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('while the watch goes on, the runtime is not asked again for a container that runs', async () => {
  watch.compare(true)
  watch.compare(true)
  assert.equal(asked.length, 1)
  asked[0]?.tells({ exitCode: 3, outOfMemory: false })
  await soon()
  assert.deepEqual(told, ['ended 3'])
})

test.each(['undefined', 'an error'])('a watch that the runtime has lost with %s begins anew, once', async how => {
  if (how === 'undefined') asked[0]?.tells(undefined)
  else asked[0]?.fails(new Error('the socket is gone'))
  await soon()
  assert.deepEqual(told, ['lost'])
  watch.compare(true)
  watch.compare(true)
  assert.equal(asked.length, 2)
  asked[1]?.tells({ exitCode: 0, outOfMemory: false })
  await soon()
  assert.deepEqual(told, ['lost', 'ended 0'])
})

test('the end of a container of which no word came is asked for, and is told once', async () => {
  watch.compare(false)
  await soon()
  assert.equal(asked.length, 2)
  asked[1]?.tells({ exitCode: 137, outOfMemory: true })
  asked[0]?.tells({ exitCode: 137, outOfMemory: true })
  await soon()
  assert.deepEqual(told, ['ended 137'])
})

test('a watch that has ended tells nothing', async () => {
  watch.end()
  await soon()
  assert.deepEqual(told, [])
})
