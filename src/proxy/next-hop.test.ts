import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import { nodeName } from '../model/names.ts'
import { place } from '../model/placement.ts'
import { aFront, aNode, aNodeListener, anApp, dataFolder, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, rawApp, until } from '../testing/wire.ts'
import { inTests } from '../testing/workers.ts'

const echo = () =>
  httpApp((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => response.end(`<${body.length}>`))
  })

const BODY = 'x'.repeat(300_000)
const POST = `POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`
const GET = 'GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n'

/** Two nodes. The first is the one that the front chooses by itself. */
async function twoNodes(volume?: string) {
  const blog = anApp('blog', ['blog.localhost'], volume)
  const candidates = ['a', 'b'].map(name => ({ node: aNode(name, ''), healthy: true, overloaded: false }))
  const first = place(blog.name, {}, candidates).node?.name ?? ''
  return { blog, first, second: first === 'a' ? 'b' : 'a' }
}

const elsewhere = (node: string): ShadowError =>
  new ShadowError('volume-elsewhere', `${node} holds the volume`, { facts: { node } })

test('a node that does not have the volume says who does; the request goes there whole, and the next goes there at once', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes('blog')
  await using wrong = await aNodeListener(app, () => elsewhere(second))
  await using right = await aNodeListener(app)
  const nodes = [aNode(first, wrong.address), aNode(second, right.address)]
  await using master = await masterOf([blog], nodes)
  const data = dataFolder()
  {
    await using front = await aFront({ master: master.url, data })
    using client = new RawClient(front.port, POST)
    assert.match(await client.until(`<${BODY.length}>`), new RegExp(`x-shadow-node: ${second}\r\n`, 'i'))
    client.send(GET)
    await client.until('<0>')
    assert.deepEqual([wrong.asked, right.served], [['POST /'], ['POST /', 'GET /']])
  }
  // A pin survives a restart of its front.
  await using again = await aFront({ master: master.url, data })
  using client = new RawClient(again.port, GET)
  await client.until('<0>')
  assert.equal(wrong.asked.length, 1)
})

test('an app whose volume is in the pool goes to a node that sees the pool, and to no other', async () => {
  await using app = await echo()
  const { first, second } = await twoNodes()
  const blog = anApp('blog', ['blog.localhost'], 'blog', 'pool')
  await using without = await aNodeListener(app)
  await using having = await aNodeListener(app)
  const nodes = [aNode(first, without.address), aNode(second, having.address, ['loop', 'pool'])]
  await using master = await masterOf([blog], nodes)
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  await client.until('<0>')
  assert.deepEqual([without.asked, having.served], [[], ['GET /']])
  nodes.pop()
  await using other = await aFront({ master: master.url })
  using refused = new RawClient(other.port, GET)
  while (!refused.text.includes('"no-node"')) await other.clock.advance(100)
})

/** What a node answers while another holds a lease that ends. */
const heldFor = (node: string, leaseEndsMs: number): ShadowError =>
  new ShadowError('volume-elsewhere', `${node} holds the volume`, { facts: { node, leaseEndsMs } })

test('while the lease of a node that is gone has long to go, its requests are answered with when to try again', async () => {
  await using app = await echo()
  const { first, second } = await twoNodes()
  const blog = anApp('blog', ['blog.localhost'], 'blog', 'pool')
  await using there = await aNodeListener(app, () => heldFor(first, 42_000))
  await using master = await masterOf([blog], [aNode(second, there.address, ['pool'])])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  await client.until('"node-unreachable"')
  assert.match(client.text, /^HTTP\/1.1 502 .*retry-after: 42\r\n/is)
})

test('a request waits for the end of the lease of a node that is gone, and is answered by another node', async () => {
  await using app = await echo()
  const { first, second } = await twoNodes()
  const blog = anApp('blog', ['blog.localhost'], 'blog', 'pool')
  let ends = 3_000
  await using there = await aNodeListener(app, () => {
    ends -= 100
    return ends > 0 ? heldFor(first, ends) : undefined
  })
  await using master = await masterOf([blog], [aNode(second, there.address, ['pool'])])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, POST)
  while (!client.text.includes(`<${BODY.length}>`)) await front.clock.advance(100)
  assert.deepEqual(there.served, ['POST /'])
})

test('a node that takes no connection is left, and the request goes to another whole', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using there = await aNodeListener(app)
  await using master = await masterOf([blog], [aNode(first, gone.address), aNode(second, there.address)])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, POST)
  assert.match(await client.until(`<${BODY.length}>`), new RegExp(`x-shadow-node: ${second}\r\n`, 'i'))
})

for (const volume of [undefined, 'blog']) {
  test(`a request waits for a node that is started again, ${volume ? 'another being there or not' : 'the only one there is'}`, async () => {
    await using app = await echo()
    const { blog, first, second } = await twoNodes(volume)
    const home = await aNodeListener(app)
    await using other = await aNodeListener(app, () => elsewhere(first))
    const nodes = [aNode(first, home.address), ...(volume ? [aNode(second, other.address)] : [])]
    await using master = await masterOf([blog], nodes)
    await using front = await aFront({ master: master.url })
    using client = new RawClient(front.port, GET)
    await client.until('<0>')
    await home[Symbol.asyncDispose]()
    client.text = ''
    client.send(POST)
    for (let round = 0; round < 20; round++) await front.clock.advance(100)
    assert.equal(client.text, '')
    await using _again = await aNodeListener(app, () => undefined, home.port)
    while (!client.text.includes(`<${BODY.length}>`)) await front.clock.advance(100)
  })
}

// Workers have the machine's clock, which no test moves.
const testByHand = test.skipIf(inTests.workers !== '1')

for (const [what, code] of [
  ['of an app that it had', 'node-unreachable'],
  ['of an app that no node had', 'no-node'],
] as const) {
  testByHand(`a node that has been away for long is not waited for, by requests ${what}`, async () => {
    await using app = await echo()
    const blog = anApp('blog', ['blog.localhost'])
    const home = await aNodeListener(app)
    await using master = await masterOf([blog], [aNode('a', home.address)])
    await using front = await aFront({ master: master.url })
    using client = new RawClient(front.port)
    if (code === 'node-unreachable') {
      client.send(GET)
      await client.until('<0>')
    }
    await home[Symbol.asyncDispose]()
    for (let round = 0; round < 3; round++) await front.clock.advance(2_000)
    client.send(GET)
    while (!client.text.includes(`"${code}"`)) await front.clock.advance(100)
    client.text = ''
    client.send(GET)
    await client.until(`"${code}"`)
  })
}

for (const [what, awayMs] of [
  ['for a moment: the request waits', 1_000],
  ['for long: the request fails, the next does not', 20_000],
] as const) {
  testByHand(
    `an app stays with its node while another cannot ask about it, the master being away ${what}`,
    async () => {
      await using app = await echo()
      const { blog, first, second } = await twoNodes()
      const home = await aNodeListener(app)
      const away = new ShadowError('master-unreachable', 'the master does not tell of blog')
      await using other = await aNodeListener(app, () => away)
      await using master = await masterOf([blog], [aNode(first, home.address), aNode(second, other.address)])
      await using front = await aFront({ master: master.url })
      using client = new RawClient(front.port, GET)
      await client.until('<0>')
      await home[Symbol.asyncDispose]()
      client.text = ''
      client.send(GET)
      await until(() => other.asked.length > 0)
      for (let past = 0; past < awayMs; past += 100) await front.clock.advance(100)
      if (awayMs > NODE_BACK_WITHIN) await client.until('"master-unreachable"')
      else assert.equal(client.text, '')
      await using again = await aNodeListener(app, () => undefined, home.port)
      await front.clock.advance(2_000)
      await until(() => again.sockets.size > 0) // the front checks the node
      for (let step = 0; step < 100; step++) await front.clock.advance(10)
      if (awayMs > NODE_BACK_WITHIN) client.send(GET)
      await client.until('<0>')
      assert.deepEqual(again.served, ['GET /'])
    },
  )
}

test('a node that dies with the request is not followed by another try', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  let seen = 0
  await using dying = await rawApp(socket =>
    socket.once('data', head => {
      if (String(head).includes('health'))
        return socket.end('HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{"overall":false,"overloaded":false}')
      seen += 1
      return socket.destroy()
    }),
  )
  await using there = await aNodeListener(app)
  await using master = await masterOf([blog], [aNode(first, dying.address), aNode(second, there.address)])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 0\r\n\r\n')
  assert.match(await client.until('"node-unreachable"'), /^HTTP\/1\.1 502 [\s\S]*x-shadow-state: unreachable/i)
  assert.deepEqual([seen, there.asked.length], [1, 0])
})

test('a refusal of the node is told to the client as it is', async () => {
  await using app = await echo()
  await using node = await aNodeListener(
    app,
    () => new ShadowError('queue-full', 'too many wait for blog', { retryAfterMs: 4_000 }),
  )
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('a', node.address)])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, POST)
  assert.match(
    await client.until('"queue-full"'),
    /^HTTP\/1\.1 503 [\s\S]*x-shadow-error: queue-full\r\n[\s\S]*retry-after: 4\r\n/i,
  )
})

test('a node whose health is bad is left, and taken again when it is good', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  await using one = await aNodeListener(app)
  await using other = await aNodeListener(app)
  await using master = await masterOf([blog], [aNode(first, one.address), aNode(second, other.address)])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  await client.until('<0>')
  assert.deepEqual([one.served.length, other.served.length], [1, 0])
  await one[Symbol.asyncDispose]()
  for (let round = 0; round < 3; round++) await front.clock.advance(2_000)
  client.text = ''
  client.send(GET)
  await client.until('<0>')
  await until(() => other.served.length === 1)
})

const full = (node: string): ShadowError => new ShadowError('no-memory', `${node} has no room`, { retryAfterMs: 5_000 })
const cordoned = new ShadowError('node-cordoned', 'the node is drained, and wakes blog no more')

for (const [what, refusal] of [
  ['has no room', full('first')],
  ['has a network that is full', new ShadowError('addresses-full', 'a bridge carries 1,023 containers')],
  ['is drained', cordoned],
  ['has no Docker', new ShadowError('runtime-unreachable', 'Docker does not answer')],
  ['was removed from the cluster', new ShadowError('unauthorised', 'the masters do not know this certificate')],
  ['cannot stop the container of an earlier run', new ShadowError('app-stuck', 'blog could not go to sleep')],
] as const)
  test(`a node that ${what} is left for the next best, the request goes there whole, and the next goes there at once`, async () => {
    await using app = await echo()
    const { blog, first, second } = await twoNodes()
    await using one = await aNodeListener(app, () => refusal)
    await using other = await aNodeListener(app)
    await using master = await masterOf([blog], [aNode(first, one.address), aNode(second, other.address)])
    await using front = await aFront({ master: master.url })
    using client = new RawClient(front.port, POST)
    await client.until(`<${BODY.length}>`)
    client.send(GET)
    await client.until('<0>')
    assert.deepEqual([one.asked, other.served], [['POST /'], ['POST /', 'GET /']])
  })

test('a request that the app may have seen goes to no other node when its node cannot serve it any more; a GET does', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  await using one = await aNodeListener(app, () => elsewhere(second), 0, true)
  await using other = await aNodeListener(app)
  await using master = await masterOf([blog], [aNode(first, one.address), aNode(second, other.address)])
  for (const [method, served] of [
    ['POST', []],
    ['GET', ['GET /']],
  ] as const) {
    await using front = await aFront({ master: master.url })
    using client = new RawClient(front.port, `${method} / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n`)
    await client.until(served.length === 0 ? 'node-unreachable' : '<0>')
    assert.deepEqual(other.served, served)
  }
})

test('a front that knows no other node than the one that refuses asks for the list once: another may take apps again', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  await using one = await aNodeListener(app, () => cordoned)
  await using other = await aNodeListener(app)
  const cordon = { since: '2026-01-01T00:00:00.000Z' }
  const nodes = [aNode(first, one.address), { ...aNode(second, other.address), cordon }]
  await using master = await masterOf([blog], nodes)
  await using front = await aFront({ master: master.url })
  await until(() => master.calls.some(({ name }) => name === 'listNodes'))
  nodes.splice(0, 2, { ...aNode(first, one.address), cordon }, aNode(second, other.address))
  using client = new RawClient(front.port, POST)
  await client.until(`<${BODY.length}>`)
  assert.deepEqual([one.asked, other.served], [['POST /'], ['POST /']])
})

test('of nodes without room only the two best are asked; then the request is refused with the reason', async () => {
  await using app = await echo()
  const blog = anApp('blog', ['blog.localhost'])
  const listeners = await Promise.all(['a', 'b', 'c'].map(name => aNodeListener(app, () => full(name))))
  await using _ended = {
    [Symbol.asyncDispose]: async () => void (await Promise.all(listeners.map(one => one[Symbol.asyncDispose]()))),
  }
  const nodes = ['a', 'b', 'c'].map((name, at) => aNode(name, listeners[at]!.address))
  await using master = await masterOf([blog], nodes)
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  assert.match(
    await client.until('"no-memory"'),
    /^HTTP\/1\.1 503 [\s\S]*x-shadow-error: no-memory\r\n[\s\S]*retry-after: 5/i,
  )
  assert.deepEqual(listeners.map(({ asked }) => asked.length).toSorted(), [0, 1, 1])
})

test('an app whose volume is on the disk of a full node is refused with the reason, and no other node is asked', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes('blog')
  await using home = await aNodeListener(app, () => full(first))
  await using other = await aNodeListener(app)
  const place = { node: nodeName(first), isLocal: true }
  await using master = await masterOf([blog], [aNode(first, home.address), aNode(second, other.address)], place)
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  await client.until('"no-memory"')
  assert.deepEqual([home.asked, other.asked], [['GET /'], []])
})

for (const refusal of [full('first'), cordoned])
  test(`a front that does not know yet where a volume is tells why its node refuses: ${refusal.code}`, async () => {
    await using app = await echo()
    const { blog, first, second } = await twoNodes('blog')
    await using home = await aNodeListener(app, () => refusal)
    await using other = await aNodeListener(app, () => elsewhere(first))
    await using master = await masterOf([blog], [aNode(first, home.address), aNode(second, other.address)])
    await using front = await aFront({ master: master.url })
    using client = new RawClient(front.port, GET)
    await client.until(`"${refusal.code}"`)
    assert.deepEqual([home.asked, other.asked], [['GET /'], ['GET /']])
  })

test('an app whose volume is lost is refused at once, and what to do is told', async () => {
  await using app = await echo()
  const { blog, first } = await twoNodes('blog')
  await using there = await aNodeListener(app)
  const place = { node: nodeName('gone'), isLocal: true, isLost: true }
  await using master = await masterOf([blog], [aNode(first, there.address)], place)
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('"volume-lost"'), /^HTTP\/1\.1 424 /)
  assert.deepEqual(there.asked, [])
})

test('a front that starts anew asks no cordoned node for an app that it has not pinned', async () => {
  await using app = await echo()
  const { blog, first, second } = await twoNodes()
  await using one = await aNodeListener(app)
  await using other = await aNodeListener(app)
  const cordon = { since: '2026-01-01T00:00:00.000Z' }
  const nodes = [{ ...aNode(first, one.address), cordon }, aNode(second, other.address)]
  await using master = await masterOf([blog], nodes)
  const data = dataFolder()
  {
    await using front = await aFront({ master: master.url, data })
    using client = new RawClient(front.port, GET)
    await client.until('<0>')
    assert.deepEqual([one.asked, other.served], [[], ['GET /']])
  }
  // A pinned app does not count as new.
  nodes.splice(0, 2, aNode(first, one.address), { ...aNode(second, other.address), cordon })
  await using again = await aFront({ master: master.url, data })
  using client = new RawClient(again.port, GET)
  await client.until('<0>')
  assert.deepEqual([one.asked.length, other.served.length], [0, 2])
})

test('a node that was gone before the front started is waited for by no request', async () => {
  const gone = { ...aNode('a', '127.0.0.1:1'), state: 'gone' as const }
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [gone])
  await using front = await aFront({ master: master.url })
  await front.clock.advance(2_000)
  using client = new RawClient(front.port, GET)
  await client.until('"no-node"')
})

for (const volume of [undefined, 'blog'])
  test(`new requests for an app ${volume ? 'with' : 'without'} a volume ${volume ? 'stay with' : 'leave'} a node that drains`, async () => {
    await using app = await echo()
    const { blog, first, second } = await twoNodes(volume)
    await using one = await aNodeListener(app)
    await using other = await aNodeListener(app)
    const nodes = [aNode(first, one.address), aNode(second, other.address)]
    await using master = await masterOf([blog], nodes)
    const data = dataFolder()
    {
      await using front = await aFront({ master: master.url, data })
      using client = new RawClient(front.port, GET)
      await client.until('<0>')
    }
    const since = '2026-01-01T00:00:00.000Z'
    const drain = { until: since, volumes: 'keep' } as const
    nodes[0] = { ...aNode(first, one.address), state: 'draining', cordon: { since, drain } }
    await using again = await aFront({ master: master.url, data })
    await until(() => master.calls.filter(({ name }) => name === 'listNodes').length > 1)
    for (let round = 0; round < 3; round++) await again.clock.advance(2_000)
    using client = new RawClient(again.port, GET)
    await client.until('<0>')
    assert.deepEqual([one.served.length, other.served.length], volume ? [2, 0] : [1, 1])
  })

test('without any node, that is what is told', async () => {
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [])
  await using front = await aFront({ master: master.url })
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('"no-node"'), /^HTTP\/1\.1 503 /)
})
