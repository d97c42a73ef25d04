import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import { egress } from '../../src/model/egress.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName } from '../../src/model/names.ts'
import { namedEgress } from '../../src/nodeproxy/egress/named-egress.ts'
import type { Container, Runtime } from '../../src/nodeproxy/runtime/runtime.ts'
import { isIn, parseSubnet } from '../../src/nodeproxy/runtime/subnets.ts'
import { containersOfTest, portOpen, run } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'
import { until } from '../tools/shadow.ts'

const HTTPD = ['httpd', '-f', '-p', '8000', '-h', '/etc']
const MOST_PORTS = 3
const folder = mkdtempSync(join(tmpdir(), 'shadow-networks-'))
const opened = () => namedEgress({ servers: undefined, folder, clock: systemClock, log: noLog })

let server: Server
beforeAll(async () => {
  server = createServer(socket => socket.destroy())
  await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
})
afterAll(() => {
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

type Started = Container & { ip: string }

const reaches = ({ id }: Container, ip: string, port: number): boolean => {
  try {
    run('exec', id, 'nc', '-w', '3', ip, `${port}`, '-e', 'true')
    return true
  } catch {
    return false
  }
}
const networksOf = (node: string): string[] =>
  run('network', 'ls', '--filter', `label=shadow.node=${node}`, '--format', '{{.Name}}').split('\n').toSorted()
const bridgeOf = (network: string) => `br-${run('network', 'inspect', '--format', '{{.Id}}', network).slice(0, 12)}`
const gatewayOf = (network: string) =>
  run('network', 'inspect', '--format', '{{(index .IPAM.Config 0).Subnet}}', network).replace(/0\/18$/, '1')
const rules = (): string =>
  [
    ['iptables', 'filter'],
    ['iptables', 'nat'],
    ['ip6tables', 'filter'],
  ]
    .map(([command = '', table = '']) => execFileSync(command, ['-t', table, '-S'], { encoding: 'utf8' }))
    .join('')
const removed = async (runtime: Runtime, ...all: readonly Container[]): Promise<void> => {
  for (const one of all) {
    await runtime.stop(one, 0)
    await runtime.remove(one)
  }
}

describe('a node whose apps are on several networks', () => {
  const named = opened()
  const { node, network, runtime, signal, task, started } = containersOfTest({ named, mostPorts: MOST_PORTS })
  const app = (name: string, ...list: string[]) =>
    started(task({ app: appName(name), command: HTTPD, ...(list.length > 0 && { egress: list.map(egress) }) }))
  const counted = async (of: Runtime) => (await of.refusedConnections()).get(instanceId(appName('open'))) ?? 0

  /** The name server of an app whose definition names domains is its node, at the gateway of its own network. */
  const asksItsNode = async (of: Runtime, asking: Container | undefined) => {
    if (asking === undefined) throw new Error('not started')
    const ask = ['exec', asking.id, 'nslookup', 'elsewhere.example']
    // Not `run`: the name server is in this process.
    await promisify(execFile)('docker', ask).catch(() => undefined)
    expect(
      of
        .refusedNames()
        .get(asking.instance)
        ?.map(({ to }) => to),
    ).toContain('elsewhere.example')
  }

  test('serves all of them and keeps them apart, is started again, and leaves nothing behind', async () => {
    const all: Started[] = []
    for (const name of ['one', 'two', 'three', 'four', 'five'])
      all.push(await app(name, ...(name === 'two' ? ['nowhere.example'] : [])))
    const [open, namesOne] = [await app('open', 'private'), await app('names', 'nowhere.example')]
    const everyone = [...all, open, namesOne]
    const serves = async () => {
      for (const { ip } of everyone) expect(await portOpen(ip, 8000)).toBe(true)
    }
    await serves()
    const further = await until(() => {
      const names = networksOf(node)
      return names.length >= 3 ? names : undefined
    })
    expect(further.slice(0, 3)).toEqual([network, `${network}_2`, `${network}_3`])
    const ofApp = ({ id }: Container) =>
      Object.keys(JSON.parse(run('inspect', '--format', '{{json .NetworkSettings.Networks}}', id)))
    expect(everyone.map(one => ofApp(one).join())).toEqual([
      ...Array(3).fill(network),
      ...Array(3).fill(`${network}_2`),
      `${network}_3`,
    ])
    // Fronts know requests of apps by these.
    const announced = (await runtime.networks()).map(parseSubnet)
    for (const { ip } of everyone) expect(announced.filter(subnet => isIn(subnet, ip))).toHaveLength(1)

    const apart = async (of: Runtime) => {
      const [one, , , four] = all
      if (one === undefined || four === undefined) throw new Error('not started')
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      expect([reaches(one, four.ip, 8000), reaches(four, one.ip, 8000), reaches(four, open.ip, 8000)]).toEqual(
        Array(3).fill(false),
      )
      // What Docker drops takes until its time is up, and is not counted: these are our own rules.
      const before = await counted(of)
      for (const { ip } of [one, four]) {
        const told = run('exec', open.id, 'sh', '-c', `nc -w 9 ${ip} 8000 -e true 2>&1 || true`)
        expect(told).toMatch(/refused/i)
      }
      expect((await counted(of)) - before).toBe(2)
      for (const from of [one, open])
        for (const to of [network, `${network}_2`])
          expect(reaches(from, gatewayOf(to), port), `${from.app} reaches ${to}`).toBe(false)
      await of.openPorts([port])
      expect([one, four].map(from => reaches(from, gatewayOf(`${network}_2`), port))).toEqual([true, true])
      await of.openPorts([])
    }
    await apart(runtime)
    for (const one of [all[1], namesOne]) await asksItsNode(runtime, one)

    const bridges = networksOf(node).map(bridgeOf)
    for (const bridge of bridges.slice(0, 3)) expect(rules()).toContain(`SHADOW-F-${bridge}`)
    await named[Symbol.asyncDispose]()
    const namedNext = opened()
    const next = docker({ node, network, mostPorts: MOST_PORTS, named: namedNext })
    const found = await next.leftBehind()
    expect(found.map(({ ip }) => ip).toSorted()).toEqual(everyone.map(({ ip }) => ip).toSorted())
    await serves()
    await apart(next)
    for (const one of [all[1], namesOne]) await asksItsNode(next, one)
    const given = task({ app: appName('later'), command: HTTPD })
    const later = await next.create(instanceId(given.app), given, undefined, signal)
    expect(await portOpen(await next.start(later, signal), 8000)).toBe(true)
    expect(ofApp(later)).toEqual([`${network}_3`])

    await removed(next, ...everyone, later)
    await next.close()
    await namedNext[Symbol.asyncDispose]()
    expect(networksOf(node)).toEqual([network])
    const own = bridgeOf(network)
    for (const bridge of bridges) if (bridge !== own) expect(rules()).not.toContain(bridge)
    expect(run('ps', '--all', '--quiet', '--filter', `label=shadow.node=${node}`)).toBe('')
  }, 600_000)
})

describe('with networks that are prepared,', () => {
  const { node, network, runtime, task, started } = containersOfTest({ mostPorts: MOST_PORTS, preparedNetworks: 2 })
  const holders = () =>
    run('ps', '--quiet', '--filter', `label=shadow.node=${node}`, '--filter', 'label=shadow.holder').split('\n')

  test('apps are on several bridges as well, and all of these are removed', async () => {
    await runtime.leftBehind()
    const all: Started[] = []
    for (let i = 0; i < 6; i += 1) {
      all.push(await started(task({ app: appName(`app-${i}`), command: HTTPD })))
      await until(() => holders().length >= 2 || undefined)
    }
    for (const { ip } of all) expect(await portOpen(ip, 8000)).toBe(true)
    const announced = await runtime.networks()
    expect(announced.length).toBeGreaterThan(2)
    const on = all.map(({ ip }) => announced.find(subnet => isIn(parseSubnet(subnet), ip)))
    expect(new Set(on).size).toBeGreaterThan(1)
    const [first, last] = [all[0], all.at(-1)]
    if (first === undefined || last === undefined) throw new Error('not started')
    expect([reaches(first, last.ip, 8000), reaches(last, first.ip, 8000)]).toEqual([false, false])
    await removed(runtime, ...all)
    await runtime.close()
    expect(networksOf(node)).toEqual([network])
  }, 600_000)
})

describe('an app that uses another one', () => {
  const { node, network, signal, task } = containersOfTest()
  const db = () => task({ app: appName('db'), command: HTTPD })

  test('is on one network with it, and is told where that cannot be yet', async () => {
    let isUsed = false
    const runtime = docker({ node, network, mostPorts: 8, isUsed: name => isUsed && name === 'db' })
    const start = async (given: ReturnType<typeof task>): Promise<Started> => {
      const container = await runtime.create(instanceId(given.app), given, undefined, signal)
      return { ...container, ip: await runtime.start(container, signal) }
    }
    const fillers: Started[] = []
    for (let i = 0; i < 6; i += 1) fillers.push(await start(task({ app: appName(`app-${i}`) })))
    const stray = await start(db())
    const user = task({ app: appName('blog'), uses: [appName('db')] })
    const created = await runtime.create(instanceId(user.app), user, undefined, signal)
    await expect(runtime.start(created, signal)).rejects.toMatchObject({ code: 'companion-not-ready' })
    await removed(runtime, created, stray)
    isUsed = true // its definition says so as soon as another one names it
    const beside = await start(db())
    const blog = await start(user)
    const answer = run('exec', blog.id, 'wget', '-q', '-O', '-', 'http://db:8000/hostname')
    expect(answer).toBe(run('exec', beside.id, 'hostname'))
    await removed(runtime, blog, beside, ...fillers)
    await runtime.close()
    expect(networksOf(node)).toEqual([network])
  }, 600_000)
})
