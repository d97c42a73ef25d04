import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ShadowError } from '../../src/lib/errors.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName, nodeName, volumeId } from '../../src/model/names.ts'
import { size } from '../../src/model/quantities.ts'
import type { TaskDefinition } from '../../src/model/task.ts'
import { containersOfTest, letGo, portOpen, run, texts, WAITS } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'

const blog = instanceId(appName('blog'))
const shop = instanceId(appName('shop'))
const { node, network, runtime, signal, task, started, linesOf, untilLine } = containersOfTest()

const failureOf = (deed: Promise<unknown>) =>
  deed.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('a container', () => {
  test('is made, started with an address we can dial, stopped and removed', async () => {
    const container = await started(task({ command: ['httpd', '-f', '-p', '8000'] }))
    expect(await portOpen(container.ip, 8000)).toBe(true)
    expect(await runtime.leftBehind()).toEqual([
      {
        id: container.id,
        app: 'blog',
        instance: blog,
        key: 'blog',
        revision: 1,
        running: true,
        isPaused: false,
        ip: container.ip,
        startedAt: expect.stringMatching(/^20/),
        pid: Number(run('inspect', '--format', '{{.State.Pid}}', container.id)),
      },
    ])
    expect(run('port', container.id)).toBe('')
    await runtime.stop(container, 5_000)
    expect((await runtime.leftBehind()).map(({ running }) => running)).toEqual([false])
    await runtime.remove(container)
    expect(await runtime.leftBehind()).toEqual([])
  })

  test('every call may be repeated', async () => {
    const container = await started(task())
    expect(await runtime.start(container, signal)).toBe(container.ip)
    await runtime.stop(container, 5_000)
    await runtime.stop(container, 5_000)
    await runtime.remove(container)
    await runtime.remove(container)
    await runtime.stop(container, 5_000)
    expect(await runtime.exited(container, signal)).toBeUndefined()
  })

  test('gets the environment, PORT and the command of its definition', async () => {
    const env = { GREETING: 'hä $HOME "x"\nnext', PORT: '1' }
    const container = await started(task({ env, port: 8123, script: 'echo "$GREETING"; echo $PORT' })).catch(
      (error: unknown) => String(error),
    )
    // the container ends at once, so its start may fail because it has already ended
    if (typeof container === 'string') expect(container).toContain('hä $HOME "x"\nnext\n8123')
    else expect(texts(await linesOf(container))).toEqual(['hä $HOME "x"', 'next', '8123'])
  })

  test('has the limits of its definition and no rights beyond what it needs', async () => {
    const container = await started(task({ limits: { memory: size('32MiB'), cpus: 0.5, pids: 20 } }))
    const { HostConfig, NetworkSettings } = JSON.parse(run('inspect', container.id))[0]
    expect(HostConfig).toMatchObject({
      Memory: 32 * 2 ** 20,
      MemorySwap: 32 * 2 ** 20,
      NanoCpus: 5e8,
      PidsLimit: 20,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      RestartPolicy: { Name: 'no' },
      Privileged: false,
    })
    expect(Object.keys(NetworkSettings.Networks)).toEqual([network])
    expect(run('exec', container.id, 'grep', '-E', 'NoNewPrivs|CapBnd', '/proc/1/status')).toBe(
      'CapBnd:\t00000000000004eb\nNoNewPrivs:\t1',
    )
  })

  test('of more cpus than the machine has gets them all', async () => {
    await started(task({ limits: { memory: size('32MiB'), cpus: 500, pids: 20 } }))
  })

  test('does not reach another app on our network', async () => {
    const one = await started(task({ command: ['httpd', '-f', '-p', '8000'] }))
    expect(await portOpen(one.ip, 8000)).toBe(true)
    const two = await started(task({ app: appName('shop') }))
    expect(
      await failureOf((async () => run('exec', two.id, 'nc', '-w', '1', one.ip, '8000', '-e', 'true'))()),
    ).toBeDefined()
  })

  test('that is left over from before makes way for a new one', async () => {
    const first = await started(task())
    const second = await started(task({ revision: 2 }))
    expect((await runtime.leftBehind()).map(({ id, revision }) => [id, revision])).toEqual([[second.id, 2]])
    expect(second.id).not.toBe(first.id)
  })

  test('of somebody else with our name is left alone', async () => {
    const name = `shadow-${node}-blog`
    const id = run('create', '--name', name, '--label', 'shadow.node=other', await busyboxImage(), 'true')
    try {
      await expect(runtime.create(blog, task(), undefined, signal)).rejects.toMatchObject({ code: 'already-exists' })
      expect(run('inspect', '--format', '{{.Id}}', name)).toBe(id)
      expect(await runtime.leftBehind()).toEqual([])
    } finally {
      run('rm', '--force', id)
    }
  })

  test('of an older Shadow, whose labels name no instance, is that of the plain instance', async () => {
    const labels = [`shadow.node=${node}`, 'shadow.app=blog', 'shadow.revision=3'].flatMap(label => ['--label', label])
    const id = run('create', '--name', `shadow-${node}-blog`, ...labels, await busyboxImage(), 'true')
    const check = run('create', '--name', `shadow-${node}-blog.look.0a1b2c3d`, ...labels, await busyboxImage(), 'true')
    const found = (await runtime.leftBehind()).map(({ id, app, instance, revision }) => ({
      id,
      app,
      instance,
      revision,
    }))
    const about = { app: 'blog', instance: 'blog', revision: 3 }
    expect(found.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual(
      [id, check].toSorted().map(each => ({ id: each, ...about })),
    )
    expect((await runtime.create(blog, task(), undefined, signal)).id).not.toBe(id)
  })

  test('whose labels contradict each other is not ours', async () => {
    const labels = [`shadow.node=${node}`, 'shadow.app=shop', 'shadow.instance=blog.b'].flatMap(one => ['--label', one])
    run('create', '--name', `shadow-${node}-blog.b`, ...labels, await busyboxImage(), 'true')
    expect(await runtime.leftBehind()).toEqual([])
  })

  test('of another node is not ours', async () => {
    const other = docker({ node: nodeName(`${node}-b`), network })
    const theirs = await other.create(blog, task(), undefined, signal)
    try {
      expect(await runtime.leftBehind()).toEqual([])
      expect((await other.leftBehind()).map(({ id }) => id)).toEqual([theirs.id])
    } finally {
      await other.remove(theirs)
    }
  })

  test('made while its caller leaves is there to be found when the call has failed', async () => {
    for (const delay of [0, 5, 20]) {
      const leaving = new AbortController()
      const creating = failureOf(runtime.create(blog, task(), undefined, leaving.signal))
      await sleep(delay)
      leaving.abort(new Error('left'))
      const outcome = await creating
      const found = await runtime.leftBehind()
      if (outcome !== undefined) expect(String(outcome)).toContain('left')
      // Docker finishes a container that it was still creating before it creates this one.
      const next = await runtime.create(shop, task({ app: appName('shop') }), undefined, signal)
      const all = [...found, next]
      expect((await runtime.leftBehind()).map(({ id }) => id).toSorted()).toEqual(all.map(({ id }) => id).toSorted())
      for (const container of all) await runtime.remove(container)
    }
  })

  test('20 at once get an address each', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => started(task({ app: appName(`app-${i}`) }))))
    expect(new Set(all.map(({ ip }) => ip)).size).toBe(20)
    await Promise.all(all.map(container => runtime.stop(container, 5_000)))
    expect((await runtime.leftBehind()).filter(({ running }) => running)).toEqual([])
  })
})

describe('stop', () => {
  test('lets the app end by itself within its grace', async () => {
    const container = await started(
      task({ script: 'trap "sleep 0.3; echo saved; exit 0" TERM; echo up; while :; do sleep 0.05; done' }),
    )
    await untilLine(container, 'up')
    await runtime.stop(container, 30_000)
    expect(texts(await linesOf(container))).toEqual(['up', 'saved'])
    expect(await runtime.exited(container, signal)).toEqual({ exitCode: 0, outOfMemory: false })
  })

  test('kills an app that ignores SIGTERM, after its grace and not before', async () => {
    const container = await started(task({ script: 'trap "" TERM; echo up; while :; do sleep 0.05; done' }))
    await untilLine(container, 'up')
    const from = performance.now()
    await runtime.stop(container, 400)
    expect(performance.now() - from).toBeGreaterThan(390)
    expect(await runtime.exited(container, signal)).toEqual({ exitCode: 137, outOfMemory: false })
    expect((await runtime.leftBehind()).map(({ running }) => running)).toEqual([false])
  })

  test('does not wait out the grace of an app that handles no signals', async () => {
    const container = await started(task({ command: ['sleep', '1000'] }))
    await runtime.stop(container, 60_000) // longer than this test may take
    expect(await runtime.exited(container, signal)).toEqual({ exitCode: 143, outOfMemory: false })
  })

  test('ends all processes of the app', async () => {
    // The shell and its children have the mark in their command lines, whatever they execute later.
    const mark = `${Math.floor(100_000 + Math.random() * 900_000)}`
    const container = await started(
      task({ script: `trap "" TERM; (trap "" TERM; echo two; sleep ${mark}) & sleep ${mark}` }),
    )
    const count = () => readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && commandOf(pid).includes(mark)).length
    await untilLine(container, 'two')
    expect(count()).toBeGreaterThanOrEqual(2)
    await runtime.stop(container, 50)
    expect(count()).toBe(0)
  })

  test('reaches a paused app', async () => {
    const container = await started(task())
    run('pause', container.id)
    await runtime.stop(container, 60_000)
    expect((await runtime.leftBehind()).map(({ running }) => running)).toEqual([false])
  })
})

describe('the end of an app', () => {
  test('is told with its exit code', async () => {
    const container = await started(task({ script: `${WAITS}exit 7` }))
    letGo(container)
    expect(await runtime.exited(container, signal)).toEqual({ exitCode: 7, outOfMemory: false })
    expect(await runtime.exited(container, signal)).toEqual({ exitCode: 7, outOfMemory: false })
  })

  test('for want of memory is told as such', async () => {
    const limits = { memory: size('16MiB'), cpus: 1, pids: 20 }
    const container = await started(task({ limits, script: `${WAITS}tail /dev/zero; exit 9` }))
    letGo(container)
    expect(await runtime.exited(container, signal)).toMatchObject({ outOfMemory: true })
  })

  test('is not told to one who left', async () => {
    const container = await started(task())
    const leaving = new AbortController()
    const exited = runtime.exited(container, leaving.signal)
    await runtime.leftBehind() // sent after `exited`, so Docker has received that call too
    leaving.abort(new Error('left'))
    await expect(exited).rejects.toThrow('left')
  })

  test('by removal from outside ends the wait', async () => {
    const container = await started(task())
    const exited = runtime.exited(container, signal)
    await runtime.leftBehind() // sent after `exited`, so Docker has received that call too
    run('rm', '--force', container.id)
    expect((await exited)?.exitCode ?? 137).toBe(137)
  })

  test('at once is a crash with its exit code and its last lines', async () => {
    for (let round = 0; round < 3; round += 1) {
      const container = await runtime.create(
        blog,
        task({ script: 'echo one; echo two >&2; exit 3' }),
        undefined,
        signal,
      )
      const failure = await failureOf(runtime.start(container, signal))
      if (failure === undefined)
        expect(await runtime.exited(container, signal)).toEqual({ exitCode: 3, outOfMemory: false })
      else
        expect(failure).toMatchObject({
          code: 'app-crashed',
          details: { facts: { exitCode: 3 } },
          message: expect.stringContaining('one'),
        })
      await runtime.remove(container)
    }
  })
})

describe('what cannot be run', () => {
  for (const [what, command] of [
    ['is not there', ['no-such-program']],
    ['is no program', ['/etc']],
    ['is in a folder that is not there', ['/no/such/program', 'x']],
  ] as const) {
    test(`a command that ${what} is told as such`, async () => {
      for (let round = 0; round < 3; round += 1) {
        const container = await runtime.create(blog, task({ command }), undefined, signal)
        const failure = await failureOf(runtime.start(container, signal))
        expect(failure).toMatchObject({ code: 'command-not-found', message: expect.stringContaining(command[0]) })
        await runtime.remove(container)
      }
    })
  }

  test('an app that itself ends with 127 is not taken for one', async () => {
    const container = await runtime.create(blog, task({ script: 'nosuch' }), undefined, signal)
    const failure = await failureOf(runtime.start(container, signal))
    if (failure !== undefined) expect(failure).toMatchObject({ code: 'app-crashed' })
    else expect(await runtime.exited(container, signal)).toEqual({ exitCode: 127, outOfMemory: false })
  })

  test('an image without a command needs one', async () => {
    await expect(runtime.create(blog, task({ command: undefined }), undefined, signal)).rejects.toMatchObject({
      code: 'command-not-found',
    })
  })

  test('an image that is nowhere is told with what to do, also when it was removed since it was last seen', async () => {
    const gone = `shadow-test/gone:${randomBytes(4).toString('hex')}`
    const expected = {
      code: 'image-not-found',
      message: expect.stringContaining(gone),
      details: { hint: expect.stringContaining('docker pull') },
    }
    await expect(runtime.ensureImage(gone, signal)).rejects.toMatchObject(expected)
    await expect(runtime.create(blog, task({ image: gone }), undefined, signal)).rejects.toMatchObject(expected)
    run('tag', await busyboxImage(), gone)
    await runtime.ensureImage(gone, signal)
    run('rmi', gone)
    await expect(runtime.create(blog, task({ image: gone }), undefined, signal)).rejects.toMatchObject(expected)
  })

  test('an image is pulled with the credentials that docker login keeps', async () => {
    const asked: (string | undefined)[] = []
    const registry = createServer((request, response) => {
      asked.push(request.headers.authorization)
      response
        .writeHead(401, { 'www-authenticate': 'Basic realm="test"' })
        .end('{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}')
    })
    await new Promise<void>(resolve => registry.listen(0, '127.0.0.1', resolve))
    const folder = mkdtempSync('/tmp/shadow-config-')
    try {
      const { port } = registry.address() as { port: number }
      const auth = Buffer.from('anna:secret:with:colons').toString('base64')
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: { [`127.0.0.1:${port}`]: { auth } } }))
      const knowing = docker({ node, network, configFile: join(folder, 'config.json') })
      await expect(knowing.ensureImage(`127.0.0.1:${port}/blog`, signal)).rejects.toMatchObject({
        code: 'image-not-found',
      })
      expect(asked).toContain(`Basic ${auth}`)
    } finally {
      rmSync(folder, { recursive: true })
      registry.close()
    }
  })
})

describe('a Docker that is away', () => {
  test('is told as such by every call', async () => {
    const away = docker({ node, network, socketPath: '/tmp/no-such-docker.sock' })
    const container = { id: 'x', app: appName('blog'), instance: blog, revision: 1 }
    expect(await away.alive(signal)).toBe(false)
    expect(await runtime.alive(signal)).toBe(true)
    for (const call of [
      () => away.ensureImage('busybox', signal),
      () => away.create(blog, task(), undefined, signal),
      () => away.start(container, signal),
      () => away.stop(container, 10),
      () => away.remove(container),
      () => away.leftBehind(),
      () => away.output(container, undefined, signal)[Symbol.asyncIterator]().next(),
    ])
      await expect(call()).rejects.toMatchObject({
        code: 'runtime-unreachable',
        details: { hint: expect.stringContaining('docker') },
      })
    expect(await away.exited(container, signal)).toBeUndefined()
  })
})

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // the process has ended meanwhile
  }
}

describe('a container of an image that was committed from one of ours', () => {
  test('has our labels, and is left alone', async () => {
    const folder = mkdtempSync(`${tmpdir()}/shadow-test-records-`)
    const records = { folder, isUpgrade: false }
    const kept = docker({ node, network, records })
    const tag = `shadow-test/committed-${node}`
    const ours = await kept.create(blog, task(), undefined, signal)
    run('commit', ours.id, tag)
    try {
      const strangers = ['', '--name=mine', `--name=shadow-${node}-shop`].map(name =>
        run('run', '--detach', ...(name === '' ? [] : [name]), tag),
      )
      // After a restart, the node recognises its containers by its records.
      for (const one of [kept, docker({ node, network, records })])
        expect((await one.leftBehind()).map(({ id }) => id)).toEqual([ours.id])
      await expect(kept.create(shop, task({ app: appName('shop') }), undefined, signal)).rejects.toMatchObject({
        code: 'already-exists',
      })
      // The same holds for a foreign container with our name, our labels and the place of our container.
      await kept.remove(ours)
      const heir = run('run', '--detach', `--name=shadow-${node}-blog`, tag)
      expect(await docker({ node, network, records }).leftBehind()).toEqual([])
      for (const id of [...strangers, heir]) expect(run('inspect', '--format', '{{.State.Running}}', id)).toBe('true')
    } finally {
      run('rm', '--force', ...run('ps', '--all', '--quiet', '--filter', `ancestor=${tag}`).split('\n').filter(Boolean))
      run('rmi', tag)
      rmSync(folder, { recursive: true })
    }
  })

  test('one that was made while the node died is ours all the same', async () => {
    const folder = mkdtempSync(`${tmpdir()}/shadow-test-records-`)
    try {
      writeFileSync(
        `${folder}/blog.json`,
        JSON.stringify({ id: null, boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() }),
      )
      const made = await runtime.create(blog, task(), undefined, signal)
      const again = docker({ node, network, records: { folder, isUpgrade: false } })
      expect((await again.leftBehind()).map(({ id }) => id)).toEqual([made.id])
      await again.remove(made)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('what Docker refuses is a fault of the definition, in the words of its owner:', () => {
  const codeAndMessage = async (given: Partial<TaskDefinition>, mountedAt?: string) => {
    const failed = await failureOf(started(task(given), mountedAt))
    return failed instanceof ShadowError ? `${failed.code}: ${failed.message}` : String(failed)
  }

  test('a user that the image has not', async () => {
    const image = await builtImage('no-user', 'USER nobody-here')
    expect(await codeAndMessage({ image })).toBe(
      'definition-refused: blog cannot be run as it is defined: its image names the user "nobody-here", and has none of that name in /etc/passwd',
    )
  })

  test('a script whose interpreter is not in the image', async () => {
    const script = String.raw`RUN printf '#!/usr/bin/python9 -u\nprint()\n' > /bin/app && chmod +x /bin/app`
    const image = await builtImage('no-python', script)
    for (const command of [['/bin/app'], ['app'], ['../bin/app']])
      expect(await codeAndMessage({ image, command })).toBe(
        'command-not-found: the command of blog cannot be run: /bin/app is there, but its interpreter /usr/bin/python9 is not',
      )
  })

  test('a working directory that is a file', async () => {
    const image = await builtImage('no-workdir', 'RUN echo > /file', 'WORKDIR /file/under').catch(() => undefined)
    if (image !== undefined)
      expect(await codeAndMessage({ image })).toMatch(/^definition-refused: .* its working directory/)
  })

  test('an environment that is too large', async () => {
    const message = /^definition-refused: blog cannot be run as it is defined: its environment .* are too large/
    expect(await codeAndMessage({ env: { BIG: 'x'.repeat(200_000) } })).toMatch(message)
    const env = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`V${i}`, 'x'.repeat(100_000)]))
    expect(await codeAndMessage({ env })).toMatch(message)
  })

  test('a volume where the system has its own, or the image has a file', async () => {
    const folder = mkdtempSync(`${tmpdir()}/shadow-test-mount-`)
    const at = (path: string) => ({ volume: { id: volumeId('blog'), size: size('16MiB'), path } })
    try {
      expect(await codeAndMessage(at('/proc'), folder)).toMatch(/^definition-refused: .*cannot be at \/proc/)
      expect(await codeAndMessage(at('/proc/self'), folder)).toMatch(/^definition-refused: .*cannot be at \/proc/)
      expect(await codeAndMessage(at('/bin/busybox'), folder)).toMatch(/^(definition-refused|command-not-found): /)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a host name, a limit or anything else that it does not take', async () => {
    expect(await codeAndMessage({ limits: { memory: size('1MiB'), cpus: 1, pids: 64 } })).toMatch(
      /^definition-refused: blog cannot be run as it is defined\. Docker says: .*memory/i,
    )
  })
})
