import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, test } from 'vitest'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { dockerBuilds } from './docker-builds.ts'

const folder = await mkdtemp(join(tmpdir(), 'shadow-test-builds-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
let number = 0

/** A Docker whose one call is answered like this. */
async function fakeDocker(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const socketPath = join(folder, `${++number}.sock`)
  const server = createServer(answer)
  await new Promise<void>(resolve => void server.listen(socketPath, resolve))
  return {
    builds: dockerBuilds({ socketPath }),
    [Symbol.dispose]: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const order = {
  dockerfile: 'Dockerfile',
  args: { A: 'b' },
  labels: { l: 'm' },
  memoryBytes: 2 ** 30,
  cpus: 1.5,
  network: 'host',
  isBuildkit: false,
}
const never = () => new AbortController().signal
async function* context(bytes = 10) {
  yield Buffer.alloc(bytes)
}
const says =
  (...messages: object[]) =>
  (_: IncomingMessage, response: ServerResponse) =>
    response.end(messages.map(message => `${JSON.stringify(message)}\n`).join(''))

async function outcome(...messages: object[]): Promise<{ lines: string[]; id?: string; error?: ShadowError }> {
  using docker = await fakeDocker(
    (request, response) => void buffer(request).then(() => says(...messages)(request, response)),
  )
  const lines: string[] = []
  try {
    return { lines, id: await docker.builds.build(context(), order, line => lines.push(line), never()) }
  } catch (error) {
    assert.ok(error instanceof ShadowError, String(error))
    return { lines, error }
  }
}

test('a build is limited, and its log comes in lines, without what the builder says of itself', async () => {
  let asked = ''
  using docker = await fakeDocker((request, response) => {
    asked = decodeURIComponent(request.url ?? '')
    void buffer(request).then(() =>
      says(
        { stream: 'Step 1/2 : FROM x\n' },
        { stream: 'Step 2/3 : ENV A=b\n ---> Using cache\n' },
        { status: 'Pulling fs layer', progressDetail: {}, id: 'abc' },
        { stream: ' ---> 0123456789ab\n' },
        { stream: '\u001b[91mone\n\u001b[0mtw' },
        { stream: 'o\n10 %\r20 %\r100 %\n' },
        { stream: 'Successfully built 0123456789ab\n' },
        { aux: { ID: 'sha256:full' } },
      )(request, response),
    )
  })
  const lines: string[] = []
  assert.equal(await docker.builds.build(context(), order, line => lines.push(line), never()), 'sha256:full')
  assert.deepEqual(lines, ['Step 1/2 : FROM x', 'Step 2/3 : ENV A=b (cached)', 'one', 'two', '100 %'])
  for (const part of ['memory=1073741824', 'memswap=1073741824', 'cpuquota=150000', 'networkmode=host', 'forcerm=true'])
    assert.ok(asked.includes(part), `${part} in ${asked}`)
  assert.match(asked, /buildargs=\{"A":"b"\}.*labels=\{"l":"m"\}/)
})

for (const [what, messages, code, message] of [
  [
    'a command that fails',
    [{ stream: 'Step 2/3 : RUN npm ci\n' }, { error: "The command '/bin/sh -c npm ci' returned a non-zero code: 1" }],
    'build-failed',
    /^the build failed, at Step 2\/3: RUN npm ci: The command .* returned a non-zero code: 1$/,
  ],
  [
    'a command that takes too much memory',
    [{ error: "The command '/bin/sh -c x' returned a non-zero code: 137" }],
    'build-failed',
    /137 means that it was ended, most often for more memory/,
  ],
  [
    'a full disk',
    [{ stream: 'Step 1/2 : COPY . .\n' }, { error: 'failed to copy files: write /x: no space left on device' }],
    'disk-full',
    /^the disk of the node is full: /,
  ],
  [
    'a base that is nowhere',
    [{ error: 'pull access denied for x, repository does not exist or may require docker login' }],
    'image-not-found',
    /a base image of the build is not on the node/,
  ],
  ['an end without an image', [{ stream: 'Step 1/1 : FROM x\n' }], 'build-failed', /ended without an image/],
] as const)
  test(`${what} is told by its own code`, async () => {
    const { error } = await outcome(...messages)
    assert.ok(isFailure(error, code), error?.code)
    assert.match(error?.message ?? '', message)
  })

test('a caller that leaves ends the call of Docker, also while the context is sent', async () => {
  const closed = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  using docker = await fakeDocker(request => {
    begun.resolve()
    request.resume()
    request.on('close', () => closed.resolve())
  })
  const gone = new AbortController()
  const endless = async function* () {
    for (;;) yield Buffer.alloc(65_536)
  }
  const build = docker.builds.build(endless(), order, () => undefined, gone.signal)
  await begun.promise
  gone.abort(new ShadowError('client-gone', 'left'))
  await assert.rejects(build, /left/)
  await closed.promise
})

test('a context that cannot be read to its end fails with its own error, and calls nothing twice', async () => {
  let calls = 0
  using docker = await fakeDocker(() => void calls++)
  const broken = async function* () {
    yield Buffer.alloc(10)
    throw new ShadowError('too-large', 'the context is too large')
  }
  await assert.rejects(
    docker.builds.build(broken(), order, () => undefined, never()),
    (error: unknown) => isFailure(error, 'too-large'),
  )
  assert.ok(calls <= 1)
})

test('an archive with several images is not taken', async () => {
  using docker = await fakeDocker(
    (request, response) =>
      void buffer(request).then(() =>
        says({ stream: 'Loaded image: a:1\n' }, { stream: 'Loaded image: b:1\n' })(request, response),
      ),
  )
  await assert.rejects(
    docker.builds.load(context(), () => undefined, never()),
    /there are 2 images in it/,
  )
})

test('BuildKit is asked for by its version, says so first, and its trace becomes lines', async () => {
  const trace =
    'CpcBCkdzaGEyNTY6NzEyYzljNmE3NDQyZDhlZjU0YTkzMGFiMzBjMTRmZDcwMWIwNDU5OTk0MjY2MTZkZmRiOWI4YmY3MDAzMTZhMhowW3N0YWdlLTAgMS8zXSBGUk9NIGRvY2tlci5pby9zaGFkb3ctdGVzdC9idXN5Ym94KgwI/OSx2AYQlu7okQMyDAj85LHYBhC9wveRAw=='
  let asked = ''
  using docker = await fakeDocker((request, response) => {
    asked = request.url ?? ''
    const messages = [
      { id: 'moby.buildkit.trace', aux: trace },
      { id: 'moby.image.id', aux: { ID: 'sha256:made' } },
    ]
    void buffer(request).then(() => says(...messages)(request, response))
  })
  const lines: string[] = []
  const given = { ...order, isBuildkit: true }
  assert.equal(await docker.builds.build(context(), given, line => lines.push(line), never()), 'sha256:made')
  assert.match(asked, /[?&]version=2(&|$)/)
  assert.deepEqual(lines, [
    'built by BuildKit, without a limit of memory and processors',
    '[stage-0 1/3] FROM docker.io/shadow-test/busybox',
  ])
})

test('images of ours are those with a name of the masters, and tell when they got it last', async () => {
  const named = '2026-11-29T10:00:00Z'
  using docker = await fakeDocker(({ url = '' }, response) => {
    const all = [
      { Id: 'sha256:aa', RepoTags: ['master.shadow/blog:0000000000aa', 'mine:1'] },
      { Id: 'sha256:bb', RepoTags: ['ghost:6'] },
      { Id: 'sha256:cc', RepoTags: null },
      { Id: 'sha256:dd', RepoTags: ['master.shadow/gone:1'] },
    ]
    response.setHeader('content-type', 'application/json')
    if (url.startsWith('/images/json')) response.end(JSON.stringify(all))
    else if (url.startsWith('/images/sha256:aa/'))
      response.end(
        JSON.stringify({ Id: 'sha256:aa', Created: '2020-01-01T00:00:00Z', Metadata: { LastTagTime: named } }),
      )
    else response.writeHead(404).end('{"message":"no such image"}')
  })
  assert.deepEqual(await docker.builds.own(), [
    { id: 'sha256:aa', name: 'master.shadow/blog:0000000000aa', namedAt: Date.parse(named) },
  ])
})
