import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { builtImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const run = promisify(execFile)

/** A web server with a shell. */
const busybox = (): Promise<string> => builtImage('at-work', 'CMD ["sh", "-c", "exec httpd -f -p $PORT"]')

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

test('an app is asked before it sleeps', async () => {
  await shadow.register('shop', { sleep: { idleAfter: '10s', idleCheck: { kind: 'http', path: '/status?code=503' } } })
  await shadow.ask('shop')
  await shadow.pass(10_000)
  const { atWork } = await shadow.until('shop', view => view.atWork !== undefined)
  assert.match(atWork?.why ?? '', /its idle check says so: 503/)
  await shadow.pass(30_000)
  assert.equal((await shadow.instance('shop')).phase, 'awake')
  await shadow.sleep('shop')
})

test('a dry run leaves the app awake, and tells when it would have slept', async () => {
  await shadow.register('wiki', { sleep: { idleAfter: '10s', dryRun: true } })
  await shadow.ask('wiki')
  await shadow.pass(10_000)
  await shadow.untilLogged('wiki', /dry run: it would have gone to sleep now: idle/)
  assert.equal((await shadow.instance('wiki')).phase, 'awake')
  await shadow.pass(60_000)
  await shadow.ask('wiki')
  assert.ok(((await shadow.instance('wiki')).drySleeps?.asleepMs ?? 0) >= 60_000)
  await shadow.sleep('wiki')
})

test('a command in the container is asked before the app sleeps: exit code 0 is idle', async () => {
  const idleCheck = {
    kind: 'command' as const,
    command: ['sh', '-c', 'test ! -e /tmp/busy || { echo resizing; exit 3; }'],
  }
  await shadow.register('mill', { image: await busybox(), sleep: { idleAfter: '10s', idleCheck } })
  await shadow.wake('mill')
  const [container = ''] = await shadow.containers('mill')
  await run('docker', ['exec', container, 'touch', '/tmp/busy'])
  await shadow.ask('mill')
  await shadow.pass(10_000)
  const { atWork } = await shadow.until('mill', view => view.atWork !== undefined)
  assert.match(atWork?.why ?? '', /its idle check says so: exit code 3, resizing/)
  await run('docker', ['exec', container, 'rm', '/tmp/busy'])
  await shadow.pass(30_000)
  await shadow.until('mill', 'asleep')
})

test('an app asks for a snapshot of its volume over its socket, and only those that it asked for are pruned', async () => {
  const { admin } = shadow
  await shadow.register('till', { volume: { size: '16MiB' }, sleep: { idleAfter: 'never' } })
  await shadow.wake('till')
  await admin.call('takeSnapshot', { params: { volume: 'till' }, body: { name: 'mine' } })
  const [container = ''] = await shadow.containers('till')
  const [socket] = JSON.parse((await run('docker', ['inspect', container])).stdout)[0].Mounts.filter(
    ({ Destination }: { Destination: string }) => Destination === '/run/shadow',
  )
  const ask = async (body: object) => {
    const words = [
      '--silent',
      '--unix-socket',
      `${socket.Source}/shadow.sock`,
      '-X',
      'POST',
      'http://shadow/v1/snapshot',
    ]
    return JSON.parse((await run('curl', [...words, '-d', JSON.stringify(body)])).stdout)
  }
  const first = await ask({ note: 'before the import', keep: 1 })
  assert.equal(first.consistent, 'frozen')
  assert.equal(first.note, 'before the import')
  const second = await ask({ name: 'second', keep: 1 })
  assert.equal(second.id, 'second')
  const { items } = await admin.call('listSnapshots', { params: { volume: 'till' } })
  assert.deepEqual(items.map(({ id, reason }) => [id, reason]).sort(), [
    ['mine', 'asked'],
    ['second', 'app'],
  ])
  await ask({})
  assert.equal((await ask({})).code, 'rate-limited')
  await shadow.sleep('till')
})
