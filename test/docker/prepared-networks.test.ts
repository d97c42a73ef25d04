import { beforeEach, describe, expect, test } from 'vitest'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName } from '../../src/model/names.ts'
import type { Container } from '../../src/nodeproxy/runtime/runtime.ts'
import { HandClock } from '../../src/testing/clock.ts'
import { containersOfTest, portOpen, run, texts } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'
import { until } from '../tools/shadow.ts'

const db = appName('db')
const SIZE = 2
const HTTPD = ['httpd', '-f', '-p', '8000', '-h', '/etc']
const { node, runtime, signal, task, started, linesOf, untilLine } = containersOfTest({
  preparedNetworks: SIZE,
})

const killedNode = containersOfTest()

/** Ids of the holders that run. */
const holders = (of = node): string[] =>
  run('ps', '--quiet', '--no-trunc', '--filter', `label=shadow.node=${of}`, '--filter', 'label=shadow.holder')
    .split('\n')
    .filter(Boolean)

const holderOf = ({ id }: Container): string | undefined =>
  /^container:(.*)$/.exec(run('inspect', '--format', '{{.HostConfig.NetworkMode}}', id))?.[1]

const addressOf = (id: string): string =>
  run('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', id)

const ready = (): Promise<string[]> => until(() => (holders().length === SIZE ? holders() : undefined))

const gone = async (container: Container): Promise<void> => {
  await runtime.stop(container, 0)
  await runtime.remove(container)
}

const isReady = async (): Promise<void> => {
  await runtime.leftBehind()
  await gone(await started(task())) // from the first container on there is a network, and networks are prepared on it
  await ready()
}

describe('a prepared network', () => {
  beforeEach(isReady)

  test('is joined by one container, which has its address and its name', async () => {
    const before = await ready()
    const one = await started(task({ command: HTTPD }))
    const holder = holderOf(one)
    expect(before).toContain(holder)
    expect(one.ip).toBe(addressOf(holder ?? ''))
    expect(await portOpen(one.ip, 8000)).toBe(true)
    const hostname = run('exec', one.id, 'hostname')
    expect(run('exec', one.id, 'cat', '/etc/hostname')).toBe(hostname)
    expect(run('exec', one.id, 'cat', '/etc/hosts')).toContain(`${one.ip}\t${hostname}`)
    expect(run('exec', one.id, 'cat', '/etc/resolv.conf')).toContain('nameserver 127.0.0.11')
    expect((await runtime.leftBehind()).map(({ id, ip }) => [id, ip])).toEqual([[one.id, one.ip]])
    expect(await runtime.listening(one)).toEqual([{ port: 8000, isLoopback: false }])
    expect((await runtime.stats(one))?.receivedBytes).toBeGreaterThan(0)
    expect((await runtime.usage(one))?.sentBytes).toBeGreaterThan(0)
  })

  test('is removed with its container, and neither it nor its address comes again', async () => {
    const ips = new Set<string>()
    const used = new Set<string | undefined>()
    for (let i = 0; i < 4; i += 1) {
      await ready()
      const one = await started(task())
      ips.add(one.ip)
      used.add(holderOf(one))
      await gone(one)
      await until(() => !holders().some(id => used.has(id)) || undefined)
    }
    expect([ips.size, used.size, used.has(undefined)]).toEqual([4, 4, false])
  })

  test('does not let an app reach another one', async () => {
    const one = await started(task({ command: HTTPD }))
    const two = await started(task({ app: appName('shop') }))
    expect([holderOf(one), holderOf(two)]).not.toContain(undefined)
    expect(await portOpen(one.ip, 8000)).toBe(true)
    expect(() => run('exec', two.id, 'nc', '-w', '1', one.ip, '8000', '-e', 'true')).toThrow()
  })

  test('is not waited for: a container that finds none has a network of its own', async () => {
    const all = await Promise.all(
      Array.from({ length: SIZE + 1 }, (_, i) => started(task({ app: appName(`app-${i}`), command: HTTPD }))),
    )
    expect(all.map(holderOf)).toContain(undefined)
    for (const { ip } of all) expect(await portOpen(ip, 8000)).toBe(true)
  })

  test('is not used by an app whose network has to be its own', async () => {
    const own = await started(task({ uses: [db] }))
    expect(holderOf(own)).toBeUndefined()
    expect(await ready()).toHaveLength(SIZE)
    await gone(own)
  })

  test('serves a console, and what a container writes is read', async () => {
    const one = await started(task({ script: 'echo hello; exec sleep 1000' }))
    await untilLine(one, 'hello')
    expect(holderOf(one)).toBeDefined()
    await runtime.stop(one, 0)
    expect(texts(await linesOf(one))).toEqual(['hello'])
  })
})

describe('a companion with a prepared network', () => {
  beforeEach(isReady)
  const answer = 'wget -q -O - http://db:8000/hostname'

  test('is found by its name, again after it has gone and come back', async () => {
    const first = await started(task({ app: db, command: HTTPD }))
    expect(holderOf(first)).toBeDefined()
    expect(await portOpen(first.ip, 8000)).toBe(true)
    const user = await started(task({ uses: [db] }))
    expect(run('exec', user.id, 'sh', '-c', answer)).toBe(run('exec', first.id, 'hostname'))
    await gone(first)
    await ready()
    const second = await started(task({ app: db, command: HTTPD }))
    expect(holderOf(second)).toBeUndefined() // it needs its name from the start
    expect(await portOpen(second.ip, 8000)).toBe(true)
    expect(run('exec', user.id, 'sh', '-c', answer)).toBe(run('exec', second.id, 'hostname'))
    await gone(user)
    await gone(second)
    // both at once, as if after a sleep: the earlier holder may not be removed yet
    const third = await started(task({ app: db, command: HTTPD }))
    expect(holderOf(third)).toBeDefined()
    expect(await portOpen(third.ip, 8000)).toBe(true)
    const again = await started(task({ uses: [db] }))
    expect(run('exec', again.id, 'sh', '-c', answer)).toBe(run('exec', third.id, 'hostname'))
    await gone(third)
    const fourth = await started(task({ app: db, command: HTTPD }))
    expect(await portOpen(fourth.ip, 8000)).toBe(true)
    expect(run('exec', again.id, 'sh', '-c', answer)).toBe(run('exec', fourth.id, 'hostname'))
  })
})

describe('a holder that ends', () => {
  beforeEach(isReady)

  test('while it waits is given to nobody', async () => {
    const [first = '', ...others] = await ready()
    run('kill', first)
    const one = await started(task({ command: HTTPD }))
    expect(holderOf(one)).not.toBe(first)
    expect(await portOpen(one.ip, 8000)).toBe(true)
    const now = await until(() => (holders().length === SIZE + 1 ? holders() : undefined))
    expect(now).toEqual(expect.arrayContaining(others))
    expect(run('ps', '--all', '--quiet', '--no-trunc', '--filter', `id=${first}`)).toBe('')
  })

  test('before its container starts is started again', async () => {
    const one = await runtime.create(instanceId(appName('blog')), task({ command: HTTPD }), undefined, signal)
    run('kill', holderOf(one) ?? '')
    const ip = await runtime.start(one, signal)
    expect(await portOpen(ip, 8000)).toBe(true)
    await gone(one)
  })

  test('and is removed before its container starts fails this start, and not the next', async () => {
    const one = await runtime.create(instanceId(appName('blog')), task({ command: HTTPD }), undefined, signal)
    run('rm', '--force', holderOf(one) ?? '')
    await expect(runtime.start(one, signal)).rejects.toMatchObject({ code: 'runtime-unreachable' })
    await gone(one)
    await gone(await started(task()))
  })

  test('under a frozen container ends that too', async () => {
    const one = await started(task({ command: ['sleep', '1000'] }))
    await runtime.freeze(one)
    const exited = runtime.exited(one, signal)
    run('kill', holderOf(one) ?? '')
    expect(await exited).toMatchObject({ exitCode: 137 })
    await gone(one)
  })

  test('under its container ends that too', async () => {
    const one = await started(task({ command: ['sleep', '1000'] }))
    const exited = runtime.exited(one, signal)
    run('kill', holderOf(one) ?? '')
    expect(await exited).toMatchObject({ exitCode: 137 })
    await gone(one)
    expect(await runtime.leftBehind()).toEqual([])
  })
})

describe('a node that was killed', () => {
  const { node, network } = killedNode

  /** A run of the node that does nothing more by itself: its clock stands still. */
  async function killed(...apps: string[]) {
    const clock = new HandClock()
    const before = docker({ node, network, preparedNetworks: SIZE + apps.length, clock })
    const first = await before.create(instanceId(appName('first')), task(), undefined, signal)
    await before.remove(first)
    await clock.advance(1_000)
    await until(() => holders(node).length === SIZE + apps.length || undefined)
    return Promise.all(
      apps.map(async app => {
        const given = task({ app: appName(app), command: HTTPD })
        const container = await before.create(instanceId(given.app), given, undefined, signal)
        return { ...container, ip: await before.start(container, signal) }
      }),
    )
  }

  test('has its apps adopted with their networks, and its other holders removed', async () => {
    const [one, two] = await killed('blog', 'shop')
    if (one === undefined || two === undefined) throw new Error('not started')
    const inUse = [one, two].map(holderOf)
    expect(inUse).not.toContain(undefined)
    const next = docker({ node, network, preparedNetworks: 0 })
    const found = await next.leftBehind()
    expect(found.map(({ app, ip, running }) => [app, ip, running]).toSorted()).toEqual([
      ['blog', one.ip, true],
      ['shop', two.ip, true],
    ])
    await until(() => holders(node).length === 2 || undefined)
    expect(holders(node).toSorted()).toEqual(inUse.toSorted())
    expect(await portOpen(one.ip, 8000)).toBe(true)
    const exited = next.exited(two, signal)
    run('kill', inUse[1] ?? '')
    expect(await exited).toMatchObject({ exitCode: 137 })
    for (const each of [one, two]) {
      await next.stop(each, 0)
      await next.remove(each)
    }
    await next.close()
    expect(run('ps', '--all', '--quiet', '--filter', `label=shadow.node=${node}`)).toBe('')
  })

  test('has a container ended whose network is gone, and removed with what it had joined', async () => {
    const [one, two] = await killed('blog', 'shop')
    if (one === undefined || two === undefined) throw new Error('not started')
    run('kill', holderOf(one) ?? '')
    run('rm', '--force', holderOf(two) ?? '')
    const next = docker({ node, network })
    const found = await next.leftBehind()
    expect(found.map(({ ip }) => ip)).toEqual([undefined, undefined])
    expect((await next.leftBehind()).map(({ running }) => running)).toEqual([false, false])
    for (const each of [one, two]) {
      await next.stop(each, 0)
      await next.remove(each)
    }
    await next.close()
    expect(run('ps', '--all', '--quiet', '--filter', `label=shadow.node=${node}`)).toBe('')
  })

  test('leaves what is no holder of ours alone, whatever its labels say', async () => {
    const foreign = run(
      'run',
      '-d',
      '--label',
      `shadow.node=${node}`,
      '--label',
      'shadow.holder=x',
      task().image,
      'sleep',
      '100',
    )
    const next = docker({ node, network })
    await next.leftBehind()
    await next.close()
    expect(run('inspect', '--format', '{{.State.Running}}', foreign)).toBe('true')
  })
})
