import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { afterEach, describe, test } from 'vitest'
import { bridgedDocker } from '../tools/bridged-docker.ts'
import { busyboxImage } from '../tools/images.ts'
import type { OwnDocker } from '../tools/own-docker.ts'
import { Shadow, until } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

// Each boot appends a line to a file on the volume.
const COMMAND = ['sh', '-c', 'cat /proc/sys/kernel/random/uuid >> /data/boots; exec httpd -f -p 8000 -h /data']

async function started(docker: OwnDocker): Promise<Shadow> {
  const shadow = await Shadow.start({ env: { SHADOW_DOCKER_SOCKET: docker.socket } })
  const image = await docker.take(await busyboxImage())
  const definition = { image, command: COMMAND, volume: { size: '16MiB' }, sleep: { idleAfter: 'never' as const } }
  for (const app of ['awake', 'asleep']) await shadow.register(app, definition)
  return shadow
}

// An interrupted wake leaves `app-stuck`, because it can be undone only with Docker.
const TOLD = ['runtime-unreachable', 'app-crashed', 'app-stuck']

const boots = async (shadow: Shadow, app: string): Promise<string[]> => {
  const { status, text } = await shadow.ask(app, '/boots')
  assert.equal(status, 200, text)
  return text.trimEnd().split('\n')
}

/** Repeats the request until it is served. Every earlier answer must be an error that says what happened. */
const served = (shadow: Shadow, app: string): Promise<Answer> =>
  until(async () => {
    const answer = await shadow.ask(app, '/boots')
    if (answer.status === 200) return answer
    assert.ok(TOLD.includes(String(answer.headers['x-shadow-error'])), answer.text)
    return undefined
  })

const mountsOf = async (shadow: Shadow, app: string): Promise<number> =>
  (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter(line => line.includes(` ${shadow.data}/volumes/${app}/mnt `)).length

describe('a Docker daemon that is started again', () => {
  let docker: OwnDocker
  let shadow: Shadow
  let held: AsyncDisposableStack
  const containersOf = async ({ node }: Shadow): Promise<string[]> => {
    const ids = await docker.run(
      'ps',
      '--all',
      '--quiet',
      '--filter',
      `label=shadow.node=${node}`,
      '--filter',
      'label=shadow.app',
    )
    return ids === '' ? [] : ids.split('\n')
  }
  const begin = async (...options: string[]): Promise<void> => {
    held = new AsyncDisposableStack()
    docker = await bridgedDocker(held, ...options)
    shadow = await started(docker)
  }
  afterEach(async () => {
    await docker?.start()
    await shadow?.[Symbol.asyncDispose]()
    await held?.disposeAsync()
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`after ${signal} took its containers with it: apps are woken again, with their data and one mount`, async () => {
      await begin()
      const [first] = await boots(shadow, 'awake')
      await docker.end(signal)
      await docker.start()
      const { text } = await served(shadow, 'awake')
      assert.equal(text.split('\n', 1)[0], first)
      assert.equal(await mountsOf(shadow, 'awake'), 1)
      assert.equal((await containersOf(shadow)).length, 1)
      await shadow.sleep('awake')
      assert.deepEqual([await containersOf(shadow), await shadow.mountsAndDevices()], [[], []])
    })
  }

  test('and left its containers running (live-restore) finds them served on, and their end still seen', async () => {
    await begin('--live-restore')
    const before = await boots(shadow, 'awake')
    await docker.end('SIGTERM')
    assert.deepEqual(await boots(shadow, 'awake'), before, 'while it is away')
    await docker.start()
    await shadow.pass(35_000) // includes a reconciliation
    assert.deepEqual(await boots(shadow, 'awake'), before)
    await docker.run('kill', ...(await containersOf(shadow)))
    await shadow.until('awake', 'crashed')
    assert.equal((await boots(shadow, 'awake')).length, 2)
  })

  test('is told of while it is away: an app that sleeps cannot be woken, and is when it is back', async () => {
    await begin()
    await boots(shadow, 'asleep')
    await shadow.sleep('asleep')
    await docker.end('SIGTERM')
    const { status, headers } = await shadow.ask('asleep', '/boots')
    assert.deepEqual([status, headers['x-shadow-error']], [503, 'runtime-unreachable'])
    assert.ok(Number(headers['retry-after']) >= 1)
    await docker.start()
    assert.equal((await served(shadow, 'asleep')).text.trimEnd().split('\n').length, 2)
  })
})
