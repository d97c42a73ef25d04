import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { ShadowError } from '../../src/lib/errors.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const SERVES = 'CMD ["httpd", "-f", "-p", "8000", "-h", "/srv"]'
const page = (text: string): readonly string[] => [`RUN mkdir -p /srv && echo ${text} > /srv/index.html`, SERVES]
const serves = (port: string) => ['sh', '-c', `exec httpd -f -p ${port}`]
const readers = { sleep: { idleAfter: '5m', grace: '1s' } } as const

test('a revision runs the image that its tag named, and the same tag built anew is another revision', async () => {
  const name = `tag-${randomBytes(3).toString('hex')}`
  const image = await builtImage(name, ...page('one'))
  try {
    await using shadow = await Shadow.start()
    const { task } = await shadow.register('blog', { image, ...readers })
    assert.match(task.pinned?.id ?? '', /^sha256:/)
    assert.equal((await shadow.ask('blog')).text, 'one\n')

    await builtImage(name, ...page('two'))
    await shadow.sleep('blog')
    assert.equal((await shadow.ask('blog')).text, 'one\n') // the content of its revision

    const updated = await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { image } })
    assert.deepEqual([updated.task.revision, updated.task.pinned?.id === task.pinned?.id], [2, false])
    await shadow.wake('blog')
    assert.equal((await shadow.ask('blog')).text, 'two\n')
    const again = await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { image } })
    assert.equal(again.task.revision, 2)
    const other = await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { A: '1' } } })
    assert.deepEqual([other.task.revision, other.task.pinned], [3, updated.task.pinned])
  } finally {
    await promisify(execFile)('docker', ['rmi', '--force', image])
  }
})

test('an image that exposes one port is asked on that, unless another was given', async () => {
  const image = await builtImage('exposes', 'EXPOSE 8080/tcp 53/udp', 'CMD ["sh", "-c", "exec httpd -f -p $PORT"]')
  await using shadow = await Shadow.start()
  await shadow.register('blog', { image, ...readers })
  assert.match((await shadow.wake('blog')).container?.address ?? '', /:8080$/)
  await shadow.register('shop', { image, port: 8081, ...readers })
  assert.match((await shadow.wake('shop')).container?.address ?? '', /:8081$/)
})

test('an app that listens on another port than its own is told of with that, long before its deadline', async () => {
  const image = await busyboxImage()
  await using shadow = await Shadow.start()
  const startWithin = '9s' // the test takes a sixth of this, and a second
  await shadow.register('blog', { image, command: serves('80'), startWithin, ...readers })
  await assert.rejects(shadow.wake('blog'), error => {
    assert.ok(error instanceof ShadowError)
    assert.match(error.message, /^blog is not ready: it listens on 80, not 8000/)
    assert.match(error.details.hint ?? '', /^shadow update blog --port 80/)
    return error.code === 'app-not-ready'
  })
  await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { port: 80 } })
  assert.match((await shadow.wake('blog')).container?.address ?? '', /:80$/)

  await shadow.register('shop', { image, command: serves('127.0.0.1:8000'), startWithin, ...readers })
  await assert.rejects(shadow.wake('shop'), /it listens on 127\.0\.0\.1:8000 only; it must listen on 0\.0\.0\.0/)
})

test("an image's health check is run for an app that is ready by it, and for no other", async () => {
  const image = await builtImage(
    'checked',
    'HEALTHCHECK --interval=1s CMD echo looked >> /looks; test -e /tmp/well || { echo not yet; exit 1; }',
    'CMD ["sh", "-c", "(sleep 3; touch /tmp/well) & exec httpd -f -p 8000"]',
  )
  await using shadow = await Shadow.start()
  await shadow.register('blog', { image, ready: { kind: 'healthcheck' }, ...readers })
  const { container, lastWake } = await shadow.wake('blog')
  assert.ok((lastWake?.steps.ready ?? 0) > 2_000, JSON.stringify(lastWake))
  assert.equal(await ofDocker('{{.State.Health.Status}}', container?.id), 'healthy')

  await shadow.register('shop', { image, ...readers })
  const other = await shadow.wake('shop')
  assert.equal(
    await ofDocker('{{json .State.Health}} {{json .Config.Healthcheck.Test}}', other.container?.id),
    'null ["NONE"]',
  )

  const command = ['httpd', '-f', '-p', '8000'] // its health check never passes
  await shadow.register('late', { image, command, ready: { kind: 'healthcheck' }, startWithin: '5s', ...readers })
  await assert.rejects(
    shadow.wake('late'),
    /did not pass the HEALTHCHECK .* its last answer was exit code 1 and "not yet"/,
  )

  const none = { code: 'definition-refused', message: /its image has no HEALTHCHECK/ }
  await shadow.register('none', {
    image: await busyboxImage(),
    command: serves('8000'),
    ready: { kind: 'healthcheck' },
  })
  await assert.rejects(shadow.wake('none'), none)
  await shadow.admin.call('updateApp', { params: { app: 'none' }, body: { ready: { kind: 'port' } } })
  await shadow.wake('none')
  const back = shadow.admin.call('updateApp', { params: { app: 'none' }, body: { ready: { kind: 'healthcheck' } } })
  await assert.rejects(back, none) // the running instance goes on
  assert.equal((await shadow.instance('none')).phase, 'awake')
})

test('/dev/shm is as large as it is said to be', async () => {
  await using shadow = await Shadow.start()
  const command = ['sh', '-c', 'mkdir -p /srv && df -m /dev/shm > /srv/index.html && exec httpd -f -p 8000 -h /srv']
  const image = await busyboxImage()
  await shadow.register('blog', { image, command, limits: { memory: '256MiB', shm: '100MiB' }, ...readers })
  assert.match((await shadow.ask('blog')).text, /^shm +100 /m)
})

/** The output of `docker inspect`. */
async function ofDocker(format: string, id = ''): Promise<string> {
  const { stdout } = await promisify(execFile)('docker', ['inspect', '--format', format, id])
  return stdout.trim()
}
