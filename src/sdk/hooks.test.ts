import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'vitest'
import { type Grant, sessionHooks, type UsedSession } from './hooks.ts'

/** A component that uses the hook, in the least of a library. */
function mounted(connect: (signal: AbortSignal) => Promise<Grant>) {
  const seen: UsedSession[] = []
  let unmount: (() => void) | undefined
  const library = {
    useState: <T>(initial: T): [T, (next: T | ((now: T) => T)) => void] => {
      seen.push(initial as UsedSession)
      return [initial, (next: T | ((now: T) => T)) => void seen.push(next as UsedSession)]
    },
    useEffect: (effect: () => (() => void) | undefined) => {
      unmount = effect()
    },
  }
  sessionHooks(library, { everyMs: 10, pauseMs: 5 }).useSession(connect)
  const until = async (is: (used: UsedSession) => boolean): Promise<UsedSession> => {
    for (;;) {
      const found = seen.find(is)
      if (found !== undefined) return found
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }
  return { seen, until, unmount: () => unmount?.() }
}

test('a page is told the states of its session; once it has ended, another one is asked for', async () => {
  let state = 'starting'
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(state === 'gone' ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ state }))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  let connects = 0
  const page = mounted(async () => ({ url: `http://${address}/token-${++connects}/` }))
  assert.equal((await page.until(used => used.state === 'starting')).isReady, false)
  state = 'ready'
  const ready = await page.until(used => used.isReady)
  assert.equal(ready.url, `http://${address}/token-1/`)
  state = 'gone'
  await page.until(used => used.state === 'ended')
  state = 'ready'
  await page.until(used => used.url?.endsWith('/token-2/') === true && used.isReady)
  assert.equal(asked[0], '/token-1/.shadow/session')
  page.unmount()
  server.close().closeAllConnections()
})

test('a failure is told, and it is tried again', async () => {
  let tries = 0
  const page = mounted(async () => {
    tries += 1
    throw new Error('no room')
  })
  assert.equal((await page.until(used => used.state === 'failed')).error?.message, 'no room')
  while (tries < 2) await new Promise(resolve => setTimeout(resolve, 5))
  page.unmount()
})
