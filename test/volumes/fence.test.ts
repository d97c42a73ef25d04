import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, test } from 'vitest'
import { exec } from '../../src/lib/exec.ts'
import { noLog } from '../../src/lib/log.ts'
import { nodeName, volumeId } from '../../src/model/names.ts'
import { ext4 } from '../../src/nodeproxy/filesystem/ext4.ts'
import type { Filesystem } from '../../src/nodeproxy/filesystem/filesystem.ts'
import { fence } from '../../src/nodeproxy/leases/guard/fence.ts'
import { ProcessGuard } from '../../src/nodeproxy/leases/guard/guard.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { pool } from '../../src/nodeproxy/volumes/pool.ts'
import { isCode, until } from '../tools/shadow.ts'

const blog = volumeId('blog')
const signal = new AbortController().signal
const CGROUPS = existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids' : '/sys/fs/cgroup'

let data: string
let driver: BlockDriver
let filesystem: Filesystem
let cgroup: string
let writer: ChildProcess

beforeEach(async () => {
  data = await mkdtemp('/tmp/shadow-fence-')
  driver = pool({ folder: `${data}/pool`, node: nodeName('a') })
  filesystem = ext4({ folder: `${data}/volumes` })
  await driver.create(blog, 16 * 2 ** 20, filesystem.make, signal)
  const device = await driver.attach(blog, signal)
  await filesystem.prepare(blog)
  await filesystem.mount(blog, device, signal)
})
afterEach(async () => {
  writer?.kill('SIGKILL')
  await until(async () => ((await readFile(`${cgroup}/cgroup.procs`, 'utf8')) === '' ? true : undefined))
  await filesystem.unmount(blog)
  await driver.detach(blog)
  await rmdir(cgroup)
  await rm(data, { recursive: true, force: true })
})

const at = (): string => filesystem.at(blog)
const fenced = (isLate = false): Promise<number> =>
  fence({ volume: blog, at: at(), containers: `${data}/containers`, driver, isLate })

/** A process as Docker runs it: mounts and a cgroup of its own, named by the container's id. It appends to a file on the volume. */
async function startWriter({ isOurs = true } = {}): Promise<ChildProcess> {
  const id = randomBytes(32).toString('hex')
  cgroup = `${CGROUPS}/shadow-test-${id}`
  await mkdir(cgroup)
  await mkdir(`${data}/containers`)
  if (isOurs) await writeFile(`${data}/containers/blog.json`, JSON.stringify({ id, boot: 'this one' }))
  const loop = `while :; do echo x >>${at()}/journal && sync ${at()}/journal; sleep 0.01; done`
  const script = `echo $$ >${cgroup}/cgroup.procs; exec unshare --mount sh -c '${loop}'`
  writer = spawn('sh', ['-c', script], { stdio: 'ignore' })
  await until(async () => ((await readdir(at())).includes('journal') ? true : undefined))
  return writer
}

test('what writes to the volume is killed, the volume is unmounted and detached, and its hold is given up', async () => {
  const ended = once(await startWriter(), 'exit')
  assert.ok((await fenced()) >= 1)
  assert.deepEqual(await ended, [null, 'SIGKILL'])
  assert.deepEqual([await filesystem.mounted(), await driver.attached()], [[], []])
  assert.deepEqual(await readdir(`${data}/pool/blog`), ['image.ext4'])
  assert.equal(await fenced(), 0)
  await exec('e2fsck', ['-fn', `${data}/pool/blog/image.ext4`])
})

test('a process of a container that is not ours is not killed, and the volume stays held', async () => {
  const process = await startWriter({ isOurs: false })
  await assert.rejects(fenced(), isCode('volume-in-use'))
  assert.equal(process.exitCode, null)
  assert.ok((await readdir(`${data}/pool/blog`)).includes('at-a.ext4'))
})

test('after the lease has ended, the filesystem refuses writes before anything else is done', async () => {
  const ended = once(await startWriter(), 'exit')
  await fenced(true)
  await ended
  assert.deepEqual([await filesystem.mounted(), await driver.attached()], [[], []])
})

test('the guard process does so for a lease that is not renewed, and not for one that is renewed or left', async () => {
  const options = { data, node: nodeName('a'), pool: `${data}/pool`, level: 'silent', log: noLog } as const
  const guard = new ProcessGuard(options)
  const ended = once(await startWriter(), 'exit')
  await guard.watch(blog, { fenceInMs: 600, endsInMs: 60_000 })
  await guard.watch(blog, { fenceInMs: 60_000, endsInMs: 60_000 })
  await new Promise(resolve => setTimeout(resolve, 1_500))
  assert.equal(writer.exitCode, null)
  // The guard goes on after its node has ended.
  await guard.watch(blog, { fenceInMs: 300, endsInMs: 60_000 })
  guard[Symbol.dispose]()
  assert.deepEqual(await ended, [null, 'SIGKILL'])
  await until(async () => ((await driver.attached()).length === 0 ? true : undefined))
  await until(async () => ((await readdir(`${data}/node/leases`)).join() === 'guard.pid' ? true : undefined))
})

test('a guard whose node has ended leaves the watch to the guard of the next run', async () => {
  const options = { data, node: nodeName('a'), pool: `${data}/pool`, level: 'silent', log: noLog } as const
  await startWriter()
  const first = new ProcessGuard(options)
  await first.watch(blog, { fenceInMs: 60_000, endsInMs: 60_000 })
  const [old] = await guards()
  first[Symbol.dispose]()
  const next = new ProcessGuard(options)
  await next.watch(blog, { fenceInMs: 60_000, endsInMs: 60_000 })
  await until(async () => ((await guards()).includes(old ?? 0) ? undefined : true))
  assert.equal((await guards()).length, 1)
  await next.leave(blog)
  next[Symbol.dispose]()
  await until(async () => ((await guards()).length === 0 ? true : undefined))
})

/** The guard processes of this test. */
async function guards(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async pid => {
      const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return words.includes('guard/process.ts') && words.includes(data) ? [Number(pid)] : []
    }),
  )
  return found.flat()
}
