import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { describe, test } from 'vitest'
import { NODE_BACK_WITHIN } from '../../src/model/intervals.ts'
import { Apart } from '../tools/apart.ts'
import { register, Shadow, WAITS } from '../tools/shadow.ts'
import { type Answer, NAVIGATION } from '../tools/visitor.ts'

const NEVER = { headers: { 'x-shadow-wake': 'never' } }

const told = ({ status, headers, json }: Answer) => ({
  status,
  state: headers['x-shadow-state'],
  error: headers['x-shadow-error'],
  code: json?.code,
})

/** Reads server-sent events until the stream ends. */
async function eventsOf(response: IncomingMessage): Promise<{ phase: string; stage?: string }[]> {
  const events: { phase: string }[] = []
  for await (const chunk of response.setEncoding('utf8'))
    for (const line of String(chunk).split('\n')) if (line.startsWith('data: ')) events.push(JSON.parse(line.slice(6)))
  return events
}

describe('promise 7, states can be told apart from outside:', () => {
  test('unknown, asleep, waking, crashed and out of reach differ in status, state, error and code', async () => {
    await using apart = await Apart.start()
    await register(apart.admin, 'asleep')
    await register(apart.admin, 'waking', WAITS)
    await register(apart.admin, 'crashed', { env: { EXIT_AT_BOOT: '3' } })
    await register(apart.admin, 'unreachable', { volume: { size: '16MiB' } })
    await apart.ask('unreachable')
    const waking = apart.ask('waking')
    waking.catch(() => undefined) // rejected when its node is stopped
    const seen = {
      unknown: await apart.ask('unknown'),
      asleep: await apart.ask('asleep', '/', NEVER),
      waking: await apart.ask('waking', '/', NEVER),
      crashed: await apart.ask('crashed'),
    }
    await apart.stopNode('a')
    const gone = apart.ask('unreachable')
    await apart.pass(NODE_BACK_WITHIN) // the front waits this long, because the node may come back
    const unreachable = await gone
    const states = Object.entries({ ...seen, unreachable }).map(([state, answer]) => [state, told(answer)])
    assert.deepEqual(Object.fromEntries(states), {
      unknown: { status: 404, state: 'unknown', error: 'host-unknown', code: 'host-unknown' },
      asleep: { status: 409, state: 'asleep', error: 'app-asleep', code: 'app-asleep' },
      waking: { status: 503, state: 'waking', error: 'app-waking', code: 'app-waking' },
      crashed: { status: 502, state: 'crashed', error: 'app-crashed', code: 'app-crashed' },
      unreachable: { status: 502, state: 'unreachable', error: 'node-unreachable', code: 'node-unreachable' },
    })
  })

  test('an answer of the app bears no mark of ours but the node, whatever its status and whatever it claims', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    for (const code of [404, 500, 503]) {
      const { status, headers } = await shadow.ask('blog', `/status?code=${code}`)
      assert.deepEqual([status, headers['x-shadow-state'], headers['x-shadow-error']], [code, undefined, undefined])
    }
  })

  test('a browser that opens a page is shown that the app wakes up, and follows the wake to its end; others are held', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', WAITS)
    const opened = shadow.ask('blog', '/', { headers: NAVIGATION })
    await shadow.until('blog', ({ waiting }) => waiting === 1)
    shadow.clock.leap(1_000) // after this time the front shows the waiting page
    const page = await opened
    assert.equal(page.status, 503)
    assert.equal(page.headers['x-shadow-state'], 'waking')
    assert.ok(page.headers['retry-after'])
    assert.match(page.headers['content-type'] ?? '', /^text\/html/)
    assert.match(page.text, /Waking up/)

    const path = /new EventSource\("([^"]+)"\)/.exec(page.text)?.[1] ?? ''
    const stream = await shadow.begin('blog', path).response
    const held = shadow.ask('blog')
    await shadow.until('blog', ({ waiting }) => waiting === 1)
    const events = eventsOf(stream)
    await shadow.letGo('blog')
    const phases = (await events).map(({ phase }) => phase)
    assert.deepEqual([...new Set(phases)], ['waking', 'awake'])
    assert.deepEqual(
      (await events).flatMap(({ stage }) => stage ?? []).at(-1),
      'answering',
      'the port is open after everything else',
    )
    assert.equal((await held).status, 200)
    assert.equal((await shadow.ask('blog', '/', { headers: NAVIGATION })).status, 200)
  })

  test('a page that follows a wake does not itself keep the app awake', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { sleep: { idleAfter: '10s' } })
    await shadow.ask('blog')
    const stream = await shadow.begin('blog', '/.shadow/events').response
    assert.deepEqual(await eventsOf(stream), [{ phase: 'awake' }])
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
    const asleep = await shadow.begin('blog', '/.shadow/events').response
    assert.deepEqual(await eventsOf(asleep), [{ phase: 'asleep' }])
    assert.equal((await shadow.instance('blog')).phase, 'asleep')
  })

  test('a browser is shown a page for an app that cannot start, without what the app wrote', async () => {
    await using shadow = await Shadow.start({ env: { SHADOW_WAITING_PAGE_AFTER: '1h' } })
    await shadow.register('blog', { env: { EXIT_AT_BOOT: '3' } })
    const page = await shadow.ask('blog', '/', { headers: NAVIGATION })
    assert.deepEqual([page.status, page.headers['x-shadow-state']], [502, 'crashed'])
    assert.match(page.headers['content-type'] ?? '', /^text\/html/)
    assert.doesNotMatch(page.text, /cannot go on/)
    const waiting = await shadow.begin('blog', '/.shadow/events').response
    assert.deepEqual((await eventsOf(waiting)).at(-1), { phase: 'crashed' })
  })
})
