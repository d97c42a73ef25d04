import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Register } from '../../src/api/schemas.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'
import { processView } from '../tools/process-view.ts'
import { Shadow, until } from '../tools/shadow.ts'

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
const SERVES = ['httpd', '-f', '-p', '8000', '-h', '.']

let shadow: Shadow

beforeAll(async () => {
  shadow = await Shadow.start()
})

afterAll(() => shadow[Symbol.asyncDispose]())

const park = (app: string) => shadow.admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })

async function viewOf(app: string): Promise<Record<string, unknown>> {
  const { status } = await shadow.ask(app)
  assert.ok(status === 200 || status === 404, `${status}`)
  const [id = ''] = await shadow.containers(app)
  return processView(id)
}

/** What the app's process was given by an ordinary start, which is that of a start from parked. */
async function mustBeSame(app: string, definition: Partial<Register>): Promise<Record<string, unknown>> {
  await shadow.register(app, { image: await busyboxImage(), command: SERVES, ...definition })
  const ordinary = await viewOf(app)
  await shadow.sleep(app)
  await park(app)
  assert.equal((await shadow.instance(app)).parked, true)
  const label = ['--filter', `label=shadow.node=${shadow.node}`, '--filter', `label=shadow.app=${app}`]
  const waiting = await docker('ps', '--no-trunc', '--quiet', ...label)
  const parked = await viewOf(app)
  assert.deepEqual(await shadow.containers(app), [waiting]) // it did not wake in another way
  assert.deepEqual(parked, ordinary)
  assert.deepEqual(parked['givenTwice'], [])
  await shadow.sleep(app)
  return parked
}

describe('a process that was woken from parked is as one of an ordinary start', () => {
  test('with the usual definition', async () => {
    const { files } = await mustBeSame('plain', {})
    assert.deepEqual(String(files).replace(/,3 socket:.*/, ''), '0 /dev/null,1 pipe:,2 pipe:')
  })

  test('with a user by its name, and supplementary groups', async () => {
    const image = await builtImage(
      'parity-named',
      'RUN echo bob:x:1000:1001::/home/bob:/bin/sh >> /etc/passwd; printf "bob:x:1001:\\none:x:2001:bob\\ntwo:x:2002:bob\\n" >> /etc/group; mkdir -p /home/bob',
      'USER bob',
    )
    const { environ, status } = await mustBeSame('named', { image })
    assert.match(String(environ), /HOME=\/home\/bob/)
    assert.match(String(status), /Groups:\t.*2001 2002/)
  })

  test('with a user by number that has no entry', async () => {
    const image = await builtImage('parity-number', 'USER 4321:8765')
    await mustBeSame('number', { image })
  })

  test('in the working directory of its image', async () => {
    const image = await builtImage('parity-workdir', 'WORKDIR /srv/deep')
    assert.equal((await mustBeSame('workdir', { image }))['cwd'], '/srv/deep')
  })

  test('in a working directory that only its user may enter', async () => {
    const image = await builtImage(
      'parity-closed',
      'RUN echo bob:x:1000:1000::/closed:/bin/sh >> /etc/passwd; mkdir /closed; chown 1000 /closed; chmod 700 /closed',
      'USER bob',
      'WORKDIR /closed',
    )
    assert.equal((await mustBeSame('closed', { image }))['cwd'], '/closed')
  })

  test('in a working directory that is its volume', async () => {
    const image = await builtImage('parity-onvolume', 'RUN mkdir /data; echo first > /data/index.html', 'WORKDIR /data')
    const command = ['httpd', '-f', '-p', '8000', '-h', '/data']
    assert.equal((await mustBeSame('onvolume', { image, command, volume: { size: '16MiB' } }))['cwd'], '/data')
    assert.equal((await shadow.ask('onvolume', '/index.html')).text, 'first\n')
  })

  test('in a working directory that leads to its volume by a link', async () => {
    const image = await builtImage('parity-link', 'RUN ln -s /data /app', 'WORKDIR /app')
    assert.equal((await mustBeSame('link', { image, volume: { size: '16MiB' } }))['cwd'], '/data')
  })

  test('with an entrypoint and a command', async () => {
    const image = await builtImage('parity-entrypoint', `ENTRYPOINT ["httpd", "-f"]`, `CMD ["-p", "8000", "-h", "."]`)
    assert.deepEqual((await mustBeSame('entrypoint', { image, command: undefined }))['argv'], SERVES)
    const command = ['-p', '8000', '-h', '/etc']
    assert.deepEqual((await mustBeSame('entered', { image, command }))['argv'], ['httpd', '-f', ...command])
  })

  test('whose program is found by a PATH of the definition', async () => {
    const env = { PATH: '/none:/own:/bin' }
    const image = await builtImage(
      'parity-path-script',
      'RUN mkdir /own; printf "#!/bin/sh\\nexec httpd -f -p 8000 -h .\\n" > /own/serves-by-path; chmod 755 /own/serves-by-path',
    )
    await mustBeSame('bypath', { image, command: ['serves-by-path'], env })
  })

  test('with variables of all kinds', async () => {
    const image = await builtImage('parity-env', 'ENV FROM_IMAGE=1 OVERRIDDEN=image EMPTIED=image')
    const env = {
      OVERRIDDEN: 'definition',
      EMPTIED: '',
      LINES: 'one\ntwo\n',
      EQUALS: '=a=b=',
      UNICODE: 'ä€😀',
      SPACES: '  a  b  ',
      HOME: '/somewhere',
    }
    const { environ } = await mustBeSame('variables', { image, env })
    assert.match(String(environ), /FROM_IMAGE=1/)
    assert.match(String(environ), /HOME=\/somewhere/)
  })

  test('that is static, in an image with nothing else', async () => {
    const image = await builtImage(
      'parity-none',
      'FROM scratch',
      `COPY --from=${await busyboxImage()} /bin/busybox /httpd`,
    )
    await mustBeSame('bare', { image, command: ['/httpd', 'httpd', '-f', '-p', '8000', '-h', '/'] })
  })

  test('that is a script with an interpreter', async () => {
    const image = await builtImage(
      'parity-script',
      `RUN printf '#!/bin/sh -e\\nexec "$@"\\n' > /entry; chmod 755 /entry`,
      'ENTRYPOINT ["/entry"]',
    )
    await mustBeSame('script', { image })
    const lives = await builtImage(
      'parity-script-lives',
      `RUN printf '#!/bin/sh -e\\nhttpd -f -p 8000 -h . & wait\\n' > /entry; chmod 755 /entry`,
    )
    const { argv } = await mustBeSame('scriptlives', { image: lives, command: ['/entry', 'an argument'] })
    assert.deepEqual(argv, ['/bin/sh', '-e', '/entry', 'an argument'])
  })

  test('with its limits, its shared memory and a volume', async () => {
    const limits = { memory: '48MiB', cpus: 0.5, pids: 33, shm: '8MiB' } as const
    const { cgroups, mounts } = await mustBeSame('limits', { limits, volume: { size: '16MiB', path: '/var/kept' } })
    assert.match(String(cgroups), /pids\.max 33/)
    assert.match(String(mounts), /\/var\/kept/)
  })
})

describe('a command that cannot be run is told of as after an ordinary start', () => {
  test.each([
    { is: 'is not executable', app: 'notexecutable', line: 'RUN echo "#!/bin/sh" > /own' },
    { is: 'is no program', app: 'noprogram', line: `RUN printf '\\177ELF nothing' > /own; chmod 755 /own` },
    { is: 'is a folder', app: 'folder', line: 'RUN mkdir /own' },
    { is: 'is not there', app: 'missing', line: 'RUN true' },
    {
      is: 'has an interpreter that cannot be run',
      app: 'interpreter',
      line: 'RUN echo "#!/etc/passwd" > /own; chmod 755 /own',
    },
  ])('that $is', async ({ app, line }) => {
    const image = await builtImage(`parity-${app}`, line)
    const definition = { image, command: ['/own', ...SERVES] }
    const says = async (name: string): Promise<string> => {
      const { status, text } = await shadow.ask(name)
      return `${status} ${text.replace(/"id":.*/, '')}`
    }
    const logOf = async (name: string): Promise<string> =>
      (await shadow.logs(name)).map(({ line }) => line.replaceAll(name, app)).join('\n')
    await shadow.register(app, definition)
    await shadow.register(`${app}-parked`, definition)
    if (app !== 'missing') await park(`${app}-parked`)
    assert.equal(await says(`${app}-parked`), await says(app))
    // The last line may come after the answer. If it never comes, the assert tells which one.
    await until(async () => (await logOf(`${app}-parked`)) === (await logOf(app)) || undefined).catch(() => undefined)
    assert.equal(await logOf(`${app}-parked`), await logOf(app))
  })

  test('that the kernel runs by a shell is run', async () => {
    const image = await builtImage('parity-nameless', `RUN echo 'exec httpd -f -p 8000 -h .' > /own; chmod 755 /own`)
    await shadow.register('nameless', { image, command: ['/own'] })
    const ordinary = (await shadow.ask('nameless')).status
    await shadow.sleep('nameless')
    await park('nameless')
    assert.equal((await shadow.ask('nameless')).status, ordinary)
    await shadow.sleep('nameless')
    await assert.rejects(park('nameless'), /the kernel cannot run its program/)
  })
})
