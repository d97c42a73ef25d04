import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'vitest'
import { busyboxImage } from '../tools/images.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

describe('data', () => {
  test('written before a sleep is read after it, byte for byte', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { volume: { size: '32MiB' } })
    const written = [randomBytes(1), randomBytes(4096), randomBytes(5_000_000)]
    for (const [n, bytes] of written.entries()) {
      await shadow.ask('blog', `/files/${n}`, { method: 'PUT', body: bytes })
      await shadow.sleep('blog')
      for (const [m, before] of written.slice(0, n + 1).entries())
        assert.ok((await shadow.ask('blog', `/files/${m}`)).bytes.equals(before))
    }
  })

  test('stays where it is when the definition changes, and what was outside of the volume is gone after a sleep', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { volume: { size: '16MiB' }, env: { DATA: '/data' } })
    await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
    const update = (body: Record<string, unknown>) => shadow.admin.call('updateApp', { params: { app: 'blog' }, body })
    await update({ env: { DATA: '/elsewhere' }, volume: { path: '/elsewhere' } })
    await shadow.until('blog', ({ revision }) => revision === 2)
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
    await update({ env: { DATA: '/tmp' } })
    await shadow.until('blog', ({ revision }) => revision === 3)
    await shadow.ask('blog', '/files/fleeting', { method: 'PUT', body: 'gone' })
    await shadow.sleep('blog')
    assert.equal((await shadow.ask('blog', '/files/fleeting')).status, 404)
  })
})

describe('an app', () => {
  test('that ends on SIGTERM needs none of its grace', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { sleep: { grace: '1h' } })
    await shadow.ask('blog')
    assert.equal((await shadow.sleep('blog')).phase, 'asleep')
    await shadow.untilLogged('blog', /got SIGTERM/)
  })

  test('that ignores SIGTERM is killed when its grace is over, and not before', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { IGNORE_SIGTERM: '1' }, sleep: { grace: '1m' } })
    await shadow.ask('blog')
    const slept = shadow.sleep('blog')
    await shadow.untilLogged('blog', /got SIGTERM/)
    await shadow.pass(50_000)
    assert.equal((await shadow.instance('blog')).phase, 'stopping')
    assert.equal((await shadow.containers('blog')).length, 1)
    await shadow.pass(10_000)
    assert.equal((await slept).phase, 'asleep')
    assert.deepEqual(await shadow.containers('blog'), [])
  })

  test('has no more memory than its limit, and it is told when that was its end', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { limits: { memory: '64MiB' } })
    const { status, json } = await shadow.ask('blog', '/eat?bytes=200000000')
    assert.deepEqual([status, json.code], [502, 'app-crashed'])
    const { problem } = await shadow.until('blog', 'crashed')
    assert.match(problem?.detail ?? '', /was killed for using more than its 64MiB of memory/)
    assert.equal(problem?.facts?.['outOfMemory'], 1)
    assert.equal((await shadow.ask('blog')).status, 200)
  })

  test('has no more processes than its limit, and none of the rights that reach out of its container', async () => {
    await using shadow = await Shadow.start()
    const script = `
      mkdir /tmp/www && cd /tmp/www
      cp /proc/self/status status
      (for i in $(seq 40); do sleep 1000 & done) 2>forks
      killall sleep # httpd needs a process for each connection
      exec httpd -f -p 8000 -h /tmp/www`
    await shadow.register('blog', {
      image: await busyboxImage(),
      command: ['sh', '-c', script],
      limits: { pids: 16 },
    })
    assert.match((await shadow.ask('blog', '/forks')).text, /can't fork/)
    const status = (await shadow.ask('blog', '/status')).text
    assert.match(status, /^NoNewPrivs:\t1$/m)
    const capabilities = BigInt(`0x${/^CapBnd:\t([0-9a-f]+)$/m.exec(status)?.[1]}`)
    for (const [name, bit] of Object.entries({
      NET_ADMIN: 12,
      NET_RAW: 13,
      SYS_MODULE: 16,
      SYS_PTRACE: 19,
      SYS_ADMIN: 21,
    }))
      assert.equal(capabilities & (1n << BigInt(bit)), 0n, name)
  })

  test('has its log kept across sleeps, with what happened to it in between', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { sleep: { idleAfter: '10s' } })
    await shadow.ask('blog', '/log?line=first')
    await shadow.untilLogged('blog', /first/) // a line that Docker delivers late would come after the sleep in the log
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
    await shadow.ask('blog', '/log?line=second&stream=stderr')
    await shadow.untilLogged('blog', /second/)
    const lines = (await shadow.logs('blog')).map(
      ({ stream, line }) => `${stream} ${line.replace(/[0-9a-f-]{36}/, 'ID')}`,
    )
    const isAwake = (line: string): boolean => line.startsWith('shadow awake')
    // Docker delivers the app's lines a moment late: lines from its start may come before or after `awake`.
    assert.deepEqual(
      lines.filter(line => !line.includes('listens on') && !isAwake(line)),
      [
        'stdout booted ID',
        'stdout first',
        'shadow going to sleep: idle',
        'stdout got SIGTERM',
        'shadow asleep: idle',
        'stdout booted ID',
        'stderr second',
      ],
    )
    assert.deepEqual(
      lines.filter(line => line.startsWith('shadow')).map(line => line.replace(/after \S+,/, 'after …,')),
      [
        'shadow awake after …, woken by GET /log from 127.0.0.1',
        'shadow going to sleep: idle',
        'shadow asleep: idle',
        'shadow awake after …, woken by GET /log from 127.0.0.1',
      ],
    )
  })
})

describe('a domain', () => {
  test('belongs to one app: another that asks for it is refused, and changes nothing', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { domains: ['blog.test', 'www.blog.test'] })
    await assert.rejects(shadow.register('shop', { domains: ['shop.test', 'www.blog.test'] }), isCode('domain-taken'))
    assert.equal((await shadow.ask('shop.test')).status, 404)
    await shadow.register('shop', { domains: ['shop.test'], env: { NAME: 'shop' } })
    await assert.rejects(
      shadow.admin.call('updateApp', { params: { app: 'shop' }, body: { domains: ['blog.test'] } }),
      isCode('domain-taken'),
    )
    assert.equal((await shadow.ask('shop.test', '/env')).json.NAME, 'shop')
    assert.equal((await shadow.ask('www.blog.test', '/env')).json.NAME, undefined)
  })

  test('is kept by a PUT that names it again, and free for others when it does not', async () => {
    await using shadow = await Shadow.start()
    const { task } = await shadow.register('blog', { domains: ['blog.test', 'old.test'] })
    const body = { image: task.image, sleep: { grace: '2s' }, domains: ['blog.test'], env: { RELEASE: '2' } }
    await shadow.admin.call('replaceApp', { params: { app: 'blog' }, body })
    await shadow.until('blog', ({ revision }) => revision === 2)
    assert.equal((await shadow.ask('BLOG.test.:80', '/env')).json.RELEASE, '2')
    await shadow.register('shop', { domains: ['old.test'], env: { NAME: 'shop' } })
    const answer = async () => (await shadow.ask('old.test', '/env')).json?.NAME
    await shadow.eventually(async () => (await answer()) === 'shop')
  })
})
