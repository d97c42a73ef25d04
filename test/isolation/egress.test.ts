import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Egress, egress } from '../../src/model/egress.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName } from '../../src/model/names.ts'
import type { Container } from '../../src/nodeproxy/runtime/runtime.ts'
import { containersOfTest, portOpen, run } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'

const { node, network, runtime, started, task } = containersOfTest()
const sh = (command: string) => execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8', stdio: 'pipe' })

// A network namespace as a separate machine behind this one. This machine forwards to its private and public addresses.
const BEHIND = `sh-${process.pid}`
const PRIVATE = '10.231.7.2'
const PUBLIC = '203.0.113.77'
const METADATA = '169.254.169.254'

let servers: Server[] = []
beforeAll(async () => {
  sh('ip link del sh-veth 2>/dev/null || true') // left by an interrupted run
  sh(
    `ip netns add ${BEHIND} && ip link add sh-veth type veth peer name eth0 netns ${BEHIND} && ip addr add 10.231.7.1/24 dev sh-veth && ip link set sh-veth up`,
  )
  sh(
    `ip -n ${BEHIND} addr add ${PRIVATE}/24 dev eth0 && ip -n ${BEHIND} addr add ${PUBLIC}/32 dev eth0 && ip -n ${BEHIND} link set eth0 up && ip -n ${BEHIND} route add default via 10.231.7.1`,
  )
  sh(`ip route add ${PUBLIC}/32 via ${PRIVATE}`)
  sh(`ip addr add ${METADATA}/32 dev sh-veth`)
  sh(`for port in 80 5432; do ip netns exec ${BEHIND} busybox httpd -p $port -h /; done`)
  servers = await Promise.all(
    [0, 0].map(
      port =>
        new Promise<Server>(resolve => {
          const server = createServer(socket => socket.destroy()).listen(port, '0.0.0.0', () => resolve(server))
        }),
    ),
  )
})
afterAll(() => {
  for (const server of servers) server.close()
  sh(`ip netns pids ${BEHIND} | xargs -r kill; ip link del sh-veth; ip netns del ${BEHIND}`)
})

const portOf = (server: Server | undefined): number => {
  const at = server?.address()
  return typeof at === 'object' && at !== null ? at.port : 0
}
const gateway = () => /inet ([\d.]+)/.exec(sh(`ip -4 addr show dev ${bridge()}`))?.[1] ?? ''
const bridge = () => `br-${run('network', 'inspect', '--format', '{{.Id}}', network).slice(0, 12)}`

/** Whether the container can connect to the address. The firewall rejects packets and does not drop them, so a refusal takes no time. */
function reaches({ id }: Container, ip: string, port: number): boolean {
  try {
    run('exec', id, 'nc', '-w', '3', ip, `${port}`, '-e', 'true')
    return true
  } catch {
    return false
  }
}
const app = (name: string, ...list: string[]) =>
  started(task({ app: appName(name), egress: list.map((one): Egress => egress(one)) }))

test('an app reaches the internet, and nothing of this machine or the private networks', async () => {
  const blog = await started(task())
  const port = portOf(servers[0])
  expect({
    internet: reaches(blog, PUBLIC, 80),
    gateway: reaches(blog, gateway(), port),
    'the machine by another address': reaches(blog, '10.231.7.1', port),
    'a private network': reaches(blog, PRIVATE, 5432),
    metadata: reaches(blog, METADATA, port),
  }).toEqual({
    internet: true,
    gateway: false,
    'the machine by another address': false,
    'a private network': false,
    metadata: false,
  })
}, 60_000)

test('it is told at once that it may not', async () => {
  const blog = await started(task())
  const told = run('exec', blog.id, 'sh', '-c', `nc -w 10 ${gateway()} ${portOf(servers[0])} -e true 2>&1 || true`)
  expect(told).toMatch(/no route to host|unreachable|prohibited|refused/i)
})

test('what it was refused is counted: another app, and a private network, for as long as its container is there', async () => {
  const [tries, other] = [await app('tries'), await app('other')]
  const counted = async (name: string) => (await runtime.refusedConnections()).get(instanceId(appName(name)))
  expect(await counted('tries')).toBeUndefined()
  expect([reaches(tries, other.ip, 8000), reaches(tries, PRIVATE, 5432)]).toEqual([false, false])
  expect([await counted('tries'), await counted('other')]).toEqual([2, undefined])
  await runtime.stop(tries, 0)
  await runtime.remove(tries)
  expect(await counted('tries')).toBeUndefined()
  const list = `/proc/net/xt_recent/SHADOW-${bridge()}`
  expect(readFileSync(list, 'utf8')).not.toContain(`src=${tries.ip} `)
}, 60_000)

test('it reaches the ports of a front on this machine, and is reached itself', async () => {
  await runtime.openPorts([portOf(servers[0])])
  const blog = await started(task({ command: ['httpd', '-f', '-p', '8000'] }))
  expect([portOf(servers[0]), portOf(servers[1])].map(port => reaches(blog, gateway(), port))).toEqual([true, false])
  expect(await portOpen(blog.ip, 8000)).toBe(true)
  await runtime.openPorts([])
  expect(reaches(blog, gateway(), portOf(servers[0]))).toBe(false)
})

test('its definition opens what it names, for itself alone', async () => {
  const [one, other] = [
    await app('one', `${PRIVATE}:5432`, `host:${portOf(servers[1])}`),
    await app('other', 'private'),
  ]
  const seen = (container: Container) => [
    reaches(container, PRIVATE, 5432),
    reaches(container, PRIVATE, 80),
    reaches(container, gateway(), portOf(servers[1])),
    reaches(container, gateway(), portOf(servers[0])),
    reaches(container, METADATA, portOf(servers[0])),
    reaches(container, PUBLIC, 80),
  ]
  expect(seen(one)).toEqual([true, false, true, false, false, true])
  expect(seen(other)).toEqual([true, true, false, false, false, true])
  const metadata = await app('metadata', `${METADATA}:${portOf(servers[0])}`)
  expect(seen(metadata)).toEqual([false, false, false, false, true, true])
}, 60_000)

test('none closes the internet too, but for what is named beside it', async () => {
  const none = await app('none', 'none', `${PRIVATE}:5432`)
  expect([reaches(none, PUBLIC, 80), reaches(none, PRIVATE, 5432), reaches(none, PRIVATE, 80)]).toEqual([
    false,
    true,
    false,
  ])
})

test('what an app may is not what the next at its address may', async () => {
  const open = await app('open', 'private')
  await runtime.stop(open, 0)
  await runtime.remove(open)
  const blog = await started(task())
  expect(reaches(blog, PRIVATE, 5432)).toBe(false)
})

test('rules are made again by a node that is started again, and after somebody flushed them', async () => {
  const one = await app('one', `${PRIVATE}:5432`)
  for (const destroy of [
    'iptables -F INPUT',
    `iptables -F SHADOW-I-${bridge()}`,
    `iptables -F DOCKER-USER && iptables -A DOCKER-USER -j RETURN && iptables -F SHADOW-F-${bridge()}`,
  ]) {
    sh(destroy)
    await docker({ node, network }).leftBehind()
    expect([
      reaches(one, gateway(), portOf(servers[0])),
      reaches(one, PRIVATE, 80),
      reaches(one, PRIVATE, 5432),
    ]).toEqual([false, false, true])
    sh(`iptables -C FORWARD -j DOCKER-USER`)
  }
  const rules = () => sh('iptables -S')
  const before = rules()
  await runtime.leftBehind()
  await docker({ node, network }).leftBehind()
  expect(rules()).toBe(before)
}, 60_000)

test('names are resolved as the machine does', async () => {
  const blog = await started(task())
  const servers = sh(`grep -h '^nameserver' /etc/resolv.conf || true`)
  const rules = sh('iptables -S')
  for (const [, server] of servers.matchAll(/nameserver (\d+\.\d+\.\d+\.\d+)/g))
    if (!server?.startsWith('127.'))
      expect(rules).toContain(`-A SHADOW-F-${bridge()} -d ${server}/32 -p udp -m udp --dport 53 -j RETURN`)
  expect(run('exec', blog.id, 'cat', '/etc/resolv.conf')).toContain('127.0.0.11')
})

test('the rules go when their network has gone', async () => {
  const own = `${network}-gone`
  const other = docker({ node, network: own })
  const container = await other.create(
    instanceId(appName('gone')),
    task({ app: appName('gone') }),
    undefined,
    new AbortController().signal,
  )
  const link = `br-${run('network', 'inspect', '--format', '{{.Id}}', own).slice(0, 12)}`
  expect(sh('iptables -S')).toContain(`SHADOW-I-${link}`)
  await other.remove(container)
  run('network', 'rm', own)
  const again = await started(task())
  await docker({ node, network }).leftBehind()
  expect(sh('iptables -S')).not.toContain(link)
  expect(sh('ip6tables -S')).not.toContain(link)
  expect(reaches(again, gateway(), portOf(servers[0]))).toBe(false)
})

test('without iptables no app is started, unless only a warning is wanted, which comes once', async () => {
  const exec = (file: string) => Promise.reject(new Error(`${file}: not found`))
  const signal = new AbortController().signal
  await expect(
    docker({ node, network, exec }).create(instanceId(appName('blog')), task(), undefined, signal),
  ).rejects.toMatchObject({
    code: 'egress-open',
    details: { hint: expect.stringContaining('SHADOW_EGRESS') },
  })
  const warned: string[] = []
  const log = { debug() {}, info() {}, error() {}, warn: (event: string) => void warned.push(event) }
  const warns = docker({ node, network, exec, egress: 'warn', log: log as never })
  await warns.create(instanceId(appName('blog')), task(), undefined, signal)
  await warns.create(instanceId(appName('shop')), task({ app: appName('shop') }), undefined, signal)
  expect(warned.filter(event => event.includes('private networks'))).toHaveLength(1)
})
