import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { busyboxImage } from '../tools/images.ts'
import { type KilledUp, startKilledUp } from '../tools/killed-up.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { containersOf, register, until } from '../tools/shadow.ts'

const node = `${TEST_NODE_PREFIX}inside-${randomBytes(3).toString('hex')}`
const SHADOW = join(import.meta.dirname, '../../bin/shadow')
const LINES = 'a\nHOME=b\n'
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containersOf(node)
  if (left.length > 0) await promisify(execFile)('docker', ['rm', '-f', ...left])
  await removeNetworkOf(node)
  await rm(data, { recursive: true, force: true })
})

const park = ({ admin }: KilledUp, app: string) => admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })

/** What a script writes that runs beside the app. */
async function inside({ master, token }: KilledUp, script: string): Promise<string> {
  const env = { ...process.env, SHADOW_URL: master, SHADOW_TOKEN: token }
  return (await promisify(execFile)(SHADOW, ['exec', 'blog', '--', 'sh', '-c', script], { env })).stdout
}

/** What the node has written of the gates that it has opened. */
async function keptOfGates(): Promise<string> {
  const folder = join(data, 'gates')
  const files = await until(async () => {
    const found = (await readdir(folder)).filter(name => name.endsWith('.json'))
    return found.length > 0 ? found : undefined
  })
  return (await Promise.all(files.map(name => readFile(join(folder, name), 'utf8')))).join('\n')
}

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'an app that was woken from parked runs on when its node ends by %s, with all that is done beside it',
  async signal => {
    await using first = await start()
    const command = ['sh', '-c', 'echo begins; cd /data; exec env -i httpd -f -p 8000 -h /data']
    const env = { SECRET: 'of the definition', LINES }
    await register(first.admin, 'blog', { image: await busyboxImage(), command, env, volume: { size: '16MiB' } })
    await park(first, 'blog')
    await first.admin.call('wakeApp', { params: { app: 'blog' } })
    const before = await containersOf(node)
    const says = 'echo "$SECRET|$LINES" > /data/index.html; cat /data/index.html'
    const said = await inside(first, says)
    assert.match(said, /^of the definition\|a\nHOME=b\n/)
    assert.doesNotMatch(await keptOfGates(), /of the definition/)
    await ended(first, signal)

    await using second = await start()
    assert.deepEqual(await containersOf(node), before)
    assert.equal(await inside(second, says), said)
    assert.equal((await second.visitor.ask('blog', '/index.html')).text, said)
    await second.admin.call('sleepApp', { params: { app: 'blog' } })
    assert.deepEqual(await containersOf(node), [])
    assert.equal((await second.visitor.ask('blog', '/index.html')).text, said)
    await second.admin.call('removeApp', { params: { app: 'blog' }, query: { withVolume: 'true' } })
    await second[Symbol.asyncDispose]()
    await until(async () => (await containersOf(node)).length === 0 || undefined)
    assert.deepEqual(
      (await traces()).filter(trace => trace.includes(`${data}/`)),
      [],
    )
  },
)

const start = () => startKilledUp(data, node)

async function ended({ child }: KilledUp, signal: NodeJS.Signals): Promise<void> {
  const over = once(child, 'exit')
  child.kill(signal)
  await over
}
