import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { bridgedDocker } from '../tools/bridged-docker.ts'
import { Cluster } from '../tools/cluster.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { busyboxImage } from '../tools/images.ts'
import { installed } from '../tools/installed.ts'
import type { OwnDocker } from '../tools/own-docker.ts'
import { until } from '../tools/shadow.ts'

const stack = new AsyncDisposableStack()
let cluster: Cluster
let folder: string
/** The Docker of the node b: another machine's, which has none of the images here. */
let other: OwnDocker
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const { shadow } = stack.use(await installed())
  other = await bridgedDocker(stack)
  const settings = { b: { SHADOW_DOCKER_SOCKET: other.socket } }
  cluster = stack.use(await Cluster.start({ shadow, nodes: ['a', 'b'], fronts: ['x'], joined: true, settings }))
  stack.defer(removeBuilt)
})
afterAll(() => stack.disposeAsync())

const sh = promisify(execFile)
const docker = async (...args: string[]): Promise<string> => (await sh('docker', args)).stdout.trim()
const OF_THIS_TEST = /^master\.shadow\/built-/

async function removeBuilt(): Promise<void> {
  const names = (await docker('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n')
  const own = names.filter(name => OF_THIS_TEST.test(name))
  if (own.length > 0) await docker('rmi', '--force', ...own)
}

async function cli(...words: string[]): Promise<{ exit: number; out: string; err: string }> {
  const terminal = new FakeTerminal({ env: { SHADOW_DATA: `${cluster.data}/master` } })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr }
}

/** Lets only this node take apps. */
async function only(letter: 'a' | 'b'): Promise<void> {
  const left = letter === 'a' ? 'b' : 'a'
  await cluster.admin.call('uncordonNode', { params: { node: cluster.nameOf(letter) } })
  await cluster.admin.call('cordonNode', { params: { node: cluster.nameOf(left) } })
}

const nodeOf = async (app: string) => (await cluster.admin.call('getInstance', { params: { app } })).node

test('an image that one node has built runs on another, after a pull from the masters by its digest', async () => {
  const app = 'built-page'
  await writeFile(join(folder, 'shadow.toml'), `app = "${app}"\ndockerfile = "Dockerfile"\n[sleep]\ngrace = "1s"\n`)
  const page = async (text: string): Promise<void> =>
    writeFile(
      join(folder, 'Dockerfile'),
      `FROM ${await busyboxImage()}\nRUN echo ${text} > /srv/index.html\nCMD ["sh", "-c", "exec httpd -f -p $PORT -h /srv"]\n`,
    )
  await only('a')
  await page('one')
  const first = await cli('deploy', folder, '--wait')
  assert.equal(first.exit, 0, first.err)
  assert.match(first.err, /the masters have master\.shadow\/built-page:[0-9a-f]{12}, in /)
  assert.equal((await cluster.at('x').ask(app)).text, 'one\n')
  assert.equal(await nodeOf(app), cluster.nameOf('a'))
  const { task } = await cluster.admin.call('getApp', { params: { app } })
  assert.match(task.pinned?.digest ?? '', /^sha256:/)

  // The machine that has built it is gone.
  await cluster.node('a').end('SIGKILL')
  await cluster.admin.call('uncordonNode', { params: { node: cluster.nameOf('b') } })
  assert.doesNotMatch(await other.run('images'), OF_THIS_TEST)
  await until(async () => (await cluster.at('x').ask(app)).text === 'one\n' || undefined)
  assert.equal(await nodeOf(app), cluster.nameOf('b'))
  assert.equal(await other.run('inspect', '--format', '{{.Image}}', ...(await containersOfOther())), task.pinned?.id)

  // A build on b is one that a can run.
  await page('two')
  await other.take(await busyboxImage())
  const second = await cli('deploy', folder)
  assert.equal(second.exit, 0, second.err)
  assert.equal((await cluster.at('x').ask(app)).text, 'two\n')
  await cluster.node('a').start()
  await cluster.node('b').end('SIGINT')
  await until(async () => (await cluster.at('x').ask(app)).text === 'two\n' || undefined)
  assert.equal(await nodeOf(app), cluster.nameOf('a'))
  await cluster.node('b').start()
})

const containersOfOther = async (): Promise<readonly string[]> =>
  until(async () => {
    const ids = (await other.run('ps', '--quiet', '--filter', `label=shadow.node=${cluster.nameOf('b')}`)).split('\n')
    return ids[0] === '' ? undefined : ids
  })

test('a build whose image the masters cannot take fails, and changes nothing', async () => {
  const app = 'built-cut'
  const at = await mkdtemp(join(folder, 'cut-'))
  await writeFile(join(at, 'shadow.toml'), `app = "${app}"\ndockerfile = "Dockerfile"\n`)
  const big = 'RUN dd if=/dev/urandom of=/big bs=1M count=8\n'
  await writeFile(join(at, 'Dockerfile'), `FROM ${await busyboxImage()}\n${big}`)
  await cluster.master.end('SIGKILL')
  await cluster.master.start({ SHADOW_BLOB_LIMIT: '4MiB' })
  await only('a')
  const { exit, err } = await cli('deploy', at)
  assert.notEqual(exit, 0)
  assert.match(err, /the image was built, and the masters did not take it: /)
  assert.match(err, /hint: deploy again/)
  assert.equal((await cli('ps', '--json')).out.includes(app), false)
})
