import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import { noLog } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import { appName, nodeName } from '../../model/names.ts'
import { duration, size } from '../../model/quantities.ts'
import { HandClock } from '../../testing/clock.ts'
import { type BuildLimits, Builds } from './builds.ts'
import type { BuildOrder, ImageBuilder } from './image-builder.ts'
import type { Pushes } from './push-image.ts'

const LIMITS = {
  memoryBytes: 2 ** 30,
  cpus: 1,
  withinMs: 600_000,
  contextBytes: 1_000,
  network: 'bridge',
  buildkit: 'when-needed' as const,
}
const blog = appName('blog')
const never = () => new AbortController().signal

/** A builder whose builds end when the test says so. */
class FakeBuilder implements ImageBuilder {
  readonly orders: BuildOrder[] = []
  readonly tags: string[] = []
  readonly #ends: ((end: string | Error) => void)[] = []

  async build(
    context: AsyncIterable<Uint8Array>,
    order: BuildOrder,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ) {
    this.orders.push(order)
    for await (const _ of context);
    onLine(`build ${this.orders.length}`)
    signal.throwIfAborted()
    return new Promise<string>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      this.#ends.push(end => (end instanceof Error ? reject(end) : resolve(end)))
    })
  }
  own = async () => []
  untag = async (name: string) => void this.tags.push(`-${name}`)
  load = async () => 'sha256:loaded'
  tag = async (_id: string, name: string) => void this.tags.push(name)
  readonly pushed: string[] = []
  refusesPush: Error | undefined
  async push(image: string, to: { name: string; tag: string }) {
    if (this.refusesPush) throw this.refusesPush
    this.pushed.push(`${image} as ${to.name}:${to.tag}`)
  }

  end(which: number, end: string | Error): void {
    this.#ends[which]?.(end)
  }
}

function environment(limits: Partial<BuildLimits> = {}) {
  const builder = new FakeBuilder()
  const clock = new HandClock()
  const opened: string[] = []
  const pushes: Pushes = {
    async open(app, permit) {
      opened.push(`${app} by ${permit}`)
      const credentials = { serveraddress: '127.0.0.1:1', username: 'node', password: 'x' }
      const close = { [Symbol.dispose]: () => void opened.push('closed') }
      return { name: `127.0.0.1:1/${app}`, address: '127.0.0.1:1', credentials, failure: undefined, ...close }
    },
  }
  const builds = new Builds({
    node: nodeName('n1'),
    builder,
    limits: { ...LIMITS, ...limits },
    pushes,
    turn: new Mutex(),
    clock,
    log: noLog,
  })
  const begin = (query = {}, content: Iterable<Buffer> = [Buffer.alloc(10)], signal = never(), permit?: string) => {
    const response = new PassThrough() as unknown as StreamedResponse & PassThrough
    Object.assign(response, { writeHead: () => response, flushHeaders: () => undefined })
    const request = Readable.from(content) as unknown as StreamedRequest
    const done = builds.build({ app: blog, permit }, { dockerfile: 'Dockerfile', ...query }, request, response, signal)
    const events = async (): Promise<object[]> => {
      await done
      const text = String(response.read() ?? '')
      return text
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line))
    }
    return { done, events }
  }
  return { builder, clock, begin, opened }
}

const untilBegun = async (builder: FakeBuilder, count: number): Promise<void> => {
  while (builder.orders.length < count) await new Promise(setImmediate)
}

test('an image is named by its app and its id, and labelled as ours', async () => {
  const { builder, begin } = environment()
  const { events } = begin({ args: { A: '1' } })
  await untilBegun(builder, 1)
  await new Promise(setImmediate)
  builder.end(0, 'sha256:0123456789abcdef')
  assert.deepEqual(await events(), [
    { line: 'build 1' },
    { image: { id: 'sha256:0123456789abcdef', name: 'master.shadow/blog:0123456789ab', node: 'n1' } },
  ])
  assert.deepEqual(builder.orders[0]?.labels, { 'shadow.built-for': 'blog' })
})

test('with a permit the image is pushed to the masters before the build counts as done', async () => {
  const { builder, begin, opened } = environment()
  const { events } = begin({}, [], never(), 'a permit')
  await untilBegun(builder, 1)
  await new Promise(setImmediate)
  builder.end(0, 'sha256:0123456789abcdef')
  const [, said, last] = (await events()) as { line: string; image: { name: string } }[]
  assert.match(said?.line ?? '', /^the masters have master\.shadow\/blog:0123456789ab, in /)
  assert.equal(last?.image.name, 'master.shadow/blog:0123456789ab')
  assert.deepEqual(opened, ['blog by a permit', 'closed'])
  assert.deepEqual(builder.pushed, ['master.shadow/blog:0123456789ab as 127.0.0.1:1/blog:0123456789ab'])
})

test('a build whose image the masters do not take has failed', async () => {
  const { builder, begin, opened } = environment()
  builder.refusesPush = new ShadowError('master-unreachable', 'no answer')
  const { events } = begin({}, [], never(), 'a permit')
  await untilBegun(builder, 1)
  await new Promise(setImmediate)
  builder.end(0, 'sha256:0123456789abcdef')
  const { problem } = (await events()).at(-1) as { problem: { code: string; detail: string } }
  const detail = 'the image was built, and the masters did not take it: no answer'
  assert.deepEqual([problem.code, problem.detail], ['master-unreachable', detail])
  assert.deepEqual(opened, ['blog by a permit', 'closed'])
})

for (const [buildkit, asks, isBuildkit] of [
  ['when-needed', 'true', true],
  ['when-needed', undefined, false],
  ['always', undefined, true],
  ['never', undefined, false],
] as const)
  test(`a node that uses BuildKit ${buildkit} ${isBuildkit ? 'does' : 'does not'} for a Dockerfile that ${asks ? 'needs it' : 'does not'}`, async () => {
    const { builder, begin } = environment({ buildkit })
    begin({ buildkit: asks }).done.catch(() => undefined)
    await untilBegun(builder, 1)
    assert.equal(builder.orders[0]?.isBuildkit, isBuildkit)
  })

test('a node that never uses BuildKit refuses a Dockerfile that needs it', () => {
  const { begin } = environment({ buildkit: 'never' })
  assert.throws(() => begin({ buildkit: 'true' }), /needs BuildKit, which the node n1 does not let builds use/)
})

test('a build gets no more than the node lets builds have', async () => {
  const { builder, begin } = environment()
  begin({ memory: size('64GiB'), cpus: 0.5 }).done.catch(() => undefined)
  await untilBegun(builder, 1)
  assert.deepEqual([builder.orders[0]?.memoryBytes, builder.orders[0]?.cpus], [2 ** 30, 0.5])
})

test('a second build waits for the first, and says so', async () => {
  const { builder, begin } = environment()
  const first = begin()
  await untilBegun(builder, 1)
  const second = begin()
  await new Promise(setImmediate)
  assert.equal(builder.orders.length, 1)
  builder.end(0, new ShadowError('build-failed', 'a step failed'))
  const [, problem] = (await first.events()) as [object, { problem: { code: string } }]
  assert.equal(problem.problem.code, 'build-failed')
  await untilBegun(builder, 2)
  await new Promise(setImmediate)
  builder.end(1, 'sha256:2')
  assert.deepEqual((await second.events())[0], { line: 'waiting for 1 other build on n1' })
})

test('a build that takes too long is ended, by its own limit or that of the node', async () => {
  const { builder, clock, begin } = environment()
  const { events } = begin({ within: duration('1m') })
  await untilBegun(builder, 1)
  await new Promise(setImmediate)
  await clock.advance(60_000)
  const last = (await events()).at(-1) as { problem: { code: string; detail: string } }
  assert.deepEqual([last.problem.code, last.problem.detail], ['build-failed', 'the build for blog took longer than 1m'])
})

test('a context that is larger than the node takes is refused while it comes', async () => {
  const { events } = environment().begin({}, [Buffer.alloc(600), Buffer.alloc(600)])
  const [event] = (await events()) as [{ problem: { code: string } }]
  assert.equal(event.problem.code, 'too-large')
})

test('a caller that leaves ends its build, and the next one begins', async () => {
  const { builder, begin } = environment()
  const gone = new AbortController()
  const first = begin({}, [], gone.signal)
  await untilBegun(builder, 1)
  await new Promise(setImmediate)
  begin().done.catch(() => undefined)
  gone.abort(new ShadowError('client-gone', 'left'))
  await assert.rejects(first.done, /left/)
  await untilBegun(builder, 2)
})
