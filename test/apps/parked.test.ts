import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import type { InstanceView } from '../../src/model/instance.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
const SHADOW = join(import.meta.dirname, '../../bin/shadow')
const SERVES = 'echo served > /tmp/index.html; exec httpd -f -p 8000 -h /tmp'

let shadow: Shadow

beforeAll(async () => {
  shadow = await Shadow.start()
})

afterAll(() => shadow[Symbol.asyncDispose]())

const park = (app: string): Promise<InstanceView> =>
  shadow.admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })

/** The ids of the containers of the app that wait at a gate. */
async function waiting(app: string): Promise<string[]> {
  const label = ['--filter', `label=shadow.node=${shadow.node}`, '--filter', `label=shadow.app=${app}`]
  const all = await docker('ps', '--no-trunc', ...label, '--format', '{{.ID}} {{.Names}}')
  return all.split('\n').flatMap(line => (line.includes('_parked_') ? [line.split(' ')[0] ?? ''] : []))
}

/** Parks the app, and has its next request woken from that: answers with the id of the container. */
async function wakenFromParked(app: string, path = '/'): Promise<{ id: string; text: string }> {
  assert.deepEqual([(await park(app)).phase, (await shadow.instance(app)).parked], ['asleep', true])
  const parked = await waiting(app)
  assert.equal(parked.length, 1)
  const { status, text } = await shadow.ask(app, path)
  assert.equal(status, 200)
  const { container, parked: isParked } = await shadow.instance(app)
  assert.deepEqual([container?.id, isParked], [parked[0], undefined])
  return { id: parked[0] ?? '', text }
}

describe('a parked app', () => {
  test('with a volume is woken from its container, and keeps its data over sleeps', async () => {
    await shadow.register('blog', { volume: { size: '16MiB' } })
    for (const content of ['first', 'second', 'third']) {
      await wakenFromParked('blog')
      await shadow.ask('blog', '/files/page', { method: 'PUT', body: content })
      await shadow.sleep('blog')
      assert.deepEqual(await shadow.containers('blog'), [])
      assert.equal((await shadow.ask('blog', '/files/page')).text, content)
    }
  })

  test('has its volume neither mounted nor attached', async () => {
    await park('blog')
    assert.deepEqual(
      (await shadow.mountsAndDevices()).filter(trace => /\/blog\/(mnt|image)/.test(trace)),
      [],
    )
    const [id = ''] = await waiting('blog')
    const pid = await docker('inspect', '--format', '{{.State.Pid}}', id)
    assert.doesNotMatch(await readFile(`/proc/${pid}/mountinfo`, 'utf8'), / \/data .* ext4 \/dev\/loop/)
  })

  test('writes into its log from the opening of the gate on, once', async () => {
    const command = ['sh', '-c', `echo begins; ${SERVES}`]
    await shadow.register('says', { image: await busyboxImage(), command })
    await wakenFromParked('says', '/index.html')
    await shadow.untilLogged('says', /begins/)
    assert.equal((await shadow.logs('says')).filter(({ line }) => line === 'begins').length, 1)
  })

  test('runs as its user, in its folder, with the environment of an ordinary start', async () => {
    const image = await builtImage(
      'of-user',
      'RUN echo bob:x:1000:1000::/home/bob:/bin/sh >> /etc/passwd; mkdir -p /home/bob',
      'ENV FROM_IMAGE=1 OVERRIDDEN=image',
      'USER bob',
      'WORKDIR /home/bob',
      'ENTRYPOINT ["sh", "-c"]',
      'CMD ["exit 9"]',
    )
    const facts =
      'id -u; pwd; echo $PPID; grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status; env | sort; cat /proc/1/comm'
    const command = [
      `(${facts}) | grep -vE "^(HOSTNAME|PWD|OLDPWD|SHLVL)=" > /tmp/index.html; exec httpd -f -p 8000 -h /tmp`,
    ]
    const env = { OVERRIDDEN: 'definition', SECRET: 'of the definition' }
    await shadow.register('bob', { image, command, env })
    const { text: ordinary } = await shadow.ask('bob', '/index.html')
    const { text } = await wakenFromParked('bob', '/index.html')
    assert.equal(text, ordinary)
    assert.match(text, /^1000\n\/home\/bob\n/)
    assert.match(text, /^FROM_IMAGE=1$/m)
    assert.match(text, /^HOME=\/home\/bob$/m)
    assert.match(text, /^OVERRIDDEN=definition$/m)
    assert.equal(await commandIn('bob', 'echo $SECRET'), 'of the definition\n')
  })

  test('has no variable and no secret of its definition', async () => {
    await park('bob')
    const [id = ''] = await waiting('bob')
    const pid = Number(await docker('inspect', '--format', '{{.State.Pid}}', id))
    const [child = ''] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
    const known = [
      await docker('inspect', id),
      await readFile(`/proc/${pid}/environ`, 'utf8'),
      child && (await readFile(`/proc/${child}/environ`, 'utf8')),
    ].join()
    assert.doesNotMatch(known, /of the definition|OVERRIDDEN=definition|SECRET/)
  })

  test('of an image without a shell is woken', async () => {
    const image = await builtImage('none', 'FROM scratch', `COPY --from=${await busyboxImage()} /bin/busybox /httpd`)
    await shadow.register('bare', { image, command: ['/httpd', 'httpd', '-f', '-p', '8000', '-h', '/'] })
    const { text } = await wakenFromParked('bare', '/httpd')
    assert.ok(text.length > 100_000)
  })

  test('whose definition changes is parked no more, and its next wake runs the new one', async () => {
    await park('says')
    const [before = ''] = await waiting('says')
    await update('says', { command: ['sh', '-c', SERVES.replace('served', 'anew')] })
    assert.equal((await shadow.ask('says', '/index.html')).text, 'anew\n')
    await until(async () => !(await docker('ps', '-aq', '--no-trunc')).includes(before) || undefined)
  })

  test('ends by its signal and by its exit code as after an ordinary start', async () => {
    const handles = `trap 'echo told; exit 0' TERM; ${SERVES.replace('exec ', '')} & wait`
    await shadow.register('told', { image: await busyboxImage(), command: ['sh', '-c', handles] })
    await wakenFromParked('told', '/index.html')
    await shadow.sleep('told')
    await shadow.untilLogged('told', /told/)
    const fails = `${SERVES.replace('exec ', '')} & sleep 1; exit 7`
    await update('told', { command: ['sh', '-c', fails] })
    await park('told')
    await shadow.ask('told', '/index.html')
    const { problem } = await shadow.until('told', 'crashed')
    assert.match(JSON.stringify(problem), /7/)
  })

  test('whose container was killed is woken by another one', async () => {
    await park('blog')
    const [id = ''] = await waiting('blog')
    await docker('kill', id)
    assert.equal((await shadow.ask('blog', '/files/page')).text, 'third')
    assert.notEqual((await shadow.instance('blog')).container?.id, id)
  })

  test('whose network has ended is woken by another container', async () => {
    const joined = async (): Promise<string> => {
      await park('blog')
      const [id = ''] = await waiting('blog')
      const mode = await docker('inspect', '--format', '{{.HostConfig.NetworkMode}}', id)
      return mode.startsWith('container:') ? mode.slice('container:'.length) : ''
    }
    const holder = await until(async () => {
      const found = await joined()
      if (found === '') await shadow.ask('blog').then(() => shadow.sleep('blog')) // none was prepared yet
      return found || undefined
    })
    await docker('kill', holder)
    assert.equal((await shadow.ask('blog', '/files/page')).text, 'third')
    await shadow.sleep('blog')
  })

  test('is refused while it uses other apps', async () => {
    await shadow.register('user', { uses: ['blog'] })
    await assert.rejects(park('user'), error => isFailure(error, 'not-parkable'))
  })

  test('leaves nothing when its node stops', async () => {
    await park('says')
    await shadow.up.stop({ sleep: true })
    assert.equal(await docker('ps', '-aq', '--filter', `label=shadow.node=${shadow.node}`), '')
    await shadow.startAgain()
  })
})

describe('a node that parks apps by itself', () => {
  test('parks the one that was woken last, and again after a restart, but none that is paused', async () => {
    await using own = await Shadow.start({ env: { SHADOW_PARKED_APPS: '1' } })
    await own.register('often', { volume: { size: '16MiB' } })
    await own.ask('often')
    await own.sleep('often')
    const isParked = async (): Promise<void> => {
      await own.pass(10_000)
      await own.until('often', ({ parked }) => parked === true)
    }
    await isParked()
    await own.up.stop({ sleep: true })
    await own.startAgain()
    await isParked()
    assert.equal((await own.ask('often')).status, 200)
    await own.sleep('often')
    await isParked()
    await own.admin.call('pauseApp', { params: { app: 'often' }, body: {} })
    await own.pass(10_000)
    await own.until('often', ({ parked }) => parked === undefined)
  })
})

const update = (app: string, body: Record<string, unknown>) => shadow.admin.call('updateApp', { params: { app }, body })

/** What a command writes that runs beside the app. */
async function commandIn(app: string, script: string): Promise<string> {
  const env = { ...process.env, SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  return (await promisify(execFile)(SHADOW, ['exec', app, '--', 'sh', '-c', script], { env })).stdout
}
