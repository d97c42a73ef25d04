import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { afterEach, test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { Chance } from '../../../testing/fuzz/chance.ts'
import { httpApp, RawClient, until } from '../../../testing/wire.ts'
import { useFallbacks } from '../node-internals/fallbacks.ts'

const NOISE = Buffer.allocUnsafe(4_000_000)
const noise = new Chance(1)
for (let at = 0; at < NOISE.length; at += 4) NOISE.writeUInt32LE(noise.below(2 ** 32), at)

/** Bytes that differ at every offset and for every seed, so that memory that is reused too early is noticed. */
const content = (seed: number, length: number): Buffer => NOISE.subarray(seed % 1_900_000).subarray(0, length)

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** An app that answers with the requested number of bytes and framing, and reports what it received. */
const app = () =>
  httpApp(async (request, response) => {
    const hash = createHash('sha256')
    try {
      for await (const chunk of request) hash.update(chunk as Buffer)
    } catch {
      return // the client left
    }
    const query = new URL(request.url ?? '', 'http://a').searchParams
    const bytes = content(Number(query.get('seed')), Number(query.get('length')))
    response.setHeader('x-sent', hash.digest('hex'))
    if (query.get('framing') === 'length') response.setHeader('content-length', bytes.length)
    if (query.get('framing') === 'close') response.useChunkedEncodingByDefault = false
    const piece = Number(query.get('piece'))
    const closed = new Promise(resolve => response.once('close', resolve))
    for (let at = 0; at < bytes.length && !response.destroyed; at += piece)
      if (!response.write(bytes.subarray(at, at + piece)))
        await Promise.race([new Promise(resolve => response.once('drain', resolve)), closed])
    response.end()
  })

async function visit(port: number, agent: Agent, chance: Chance): Promise<'whole' | 'left'> {
  const size = (): number => chance.one([0, 1, 200, 5_000, 33_000, 70_000, 600_000, 2_000_000])
  const seed = chance.below(2 ** 31)
  const length = size()
  const framing = chance.one(['length', 'chunked', 'close'])
  const piece = chance.one([100_000, 1_000_000, Math.max(1, (length / 50) | 0)])
  const sent = content(seed + 1, chance.maybe(0.5) ? size() : 0)
  const leaves = chance.maybe(0.15)
  const request = httpRequest({
    port,
    agent,
    method: sent.length > 0 ? 'POST' : 'GET',
    path: `/?seed=${seed}&length=${length}&framing=${framing}&piece=${piece}`,
    headers: sent.length > 0 && chance.maybe(0.5) ? { 'content-length': sent.length } : {},
  })
  request.on('error', () => undefined)
  for (let at = 0; at < sent.length; at += 150_000) request.write(sent.subarray(at, at + 150_000))
  request.end()
  if (leaves && chance.maybe(0.5)) {
    await new Promise(resolve => setTimeout(resolve, chance.below(10)))
    request.destroy()
    return 'left'
  }
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const got: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) {
    got.push(chunk)
    if (leaves) {
      request.destroy()
      return 'left'
    }
    if (chance.maybe(0.1)) await new Promise(resolve => setTimeout(resolve, chance.below(5)))
  }
  assert.equal(response.headers['x-sent'], digest(sent), `an upload of ${sent.length}`)
  assert.equal(digest(Buffer.concat(got)), digest(content(seed, length)), `a download of ${length}, ${framing}`)
  return 'whole'
}

afterEach(() => useFallbacks([]))

for (const internals of [[], ['reads']] as const) {
  test(`bodies of all sizes at once arrive as they were sent, among clients that leave${internals.length === 0 ? '' : ' (no reused memory)'}`, async () => {
    await using upstream = await app()
    useFallbacks(internals)
    await using front = await fastForwarding()(upstream)
    const agent = new Agent({ keepAlive: true, maxSockets: 40 })
    let whole = 0
    const visitor = async (seed: number): Promise<void> => {
      const chance = new Chance(seed)
      for (let left = 6; left > 0; left -= 1) if ((await visit(front.port, agent, chance)) === 'whole') whole += 1
    }
    await Promise.all(Array.from({ length: 40 }, (_, seed) => visitor(seed)))
    agent.destroy()
    assert(whole > 150, `only ${whole} were whole`)
    await until(() => front.exchanges.open === 0)
    await until(() => front.outcomes.length === front.exchanges.counters.requests)
  })
}

test('requests right behind a long body are read as they were sent, though others use the memory meanwhile', async () => {
  await using upstream = await app()
  await using front = await fastForwarding()(upstream)
  const bodies = 400_000
  const talk = async (seed: number): Promise<void> => {
    using client = new RawClient(front.port)
    let sent = ''
    let wanted = ''
    for (let round = 0; round < 5; round += 1) {
      const body = content(seed * 7 + round, bodies)
      sent += `POST /?length=0 HTTP/1.1\r\nHost: a\r\nContent-Length: ${bodies}\r\n\r\n${body.toString('latin1')}`
      wanted += digest(body)
      for (let next = 0; next < 5; next += 1) {
        const short = content(seed * 31 + next, 40).toString('hex')
        sent += `POST /?length=0 HTTP/1.1\r\nHost: a\r\nContent-Length: 80\r\n\r\n${short}`
        wanted += digest(Buffer.from(short))
      }
    }
    client.send(sent)
    const told = (): string => [...client.text.matchAll(/x-sent: (\w+)/g)].map(([, hash]) => hash).join('')
    await until(
      () => told().length === wanted.length || client.ended,
      () => client.text,
    )
    assert.equal(told(), wanted)
  }
  await Promise.all(Array.from({ length: 12 }, (_, seed) => talk(seed)))
})
