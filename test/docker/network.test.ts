import { readdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName, nodeName } from '../../src/model/names.ts'
import { containersOfTest, run } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'
import { busyboxImage } from '../tools/images.ts'
import { removeNetwork } from '../tools/network.ts'

const blog = instanceId(appName('blog'))
const { node, network, runtime, signal, task, started } = containersOfTest()

describe('the network of the apps', () => {
  test('that was removed is made again', async () => {
    const first = await started(task())
    await runtime.stop(first, 1_000)
    await runtime.remove(first)
    removeNetwork(network)
    const second = await started(task())
    expect(second.ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/)
    await runtime.stop(second, 1_000)
    await runtime.remove(second)
    // the network may also vanish between create and start
    const third = await runtime.create(blog, task(), undefined, signal)
    removeNetwork(network)
    expect(await runtime.start(third, signal)).toMatch(/^\d+\.\d+\.\d+\.\d+$/)
  })

  test('that is there twice is used all the same, and one of the two is removed', async () => {
    const first = await started(task())
    await runtime.stop(first, 0)
    await runtime.remove(first)
    // Docker makes a second one where a call to make it is repeated before the first one has ended.
    const second = { Name: network, Labels: { shadow: 'network', 'shadow.subnet': 'chosen', 'shadow.node': node } }
    await new Promise((resolve, reject) => {
      const socketPath = (process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock').replace('unix://', '')
      const headers = { 'content-type': 'application/json' }
      const sent = request({ socketPath, method: 'POST', path: '/v1.40/networks/create', headers }, resolve)
      sent.on('error', reject).end(JSON.stringify(second))
    })
    const ids = () => run('network', 'ls', '--quiet', '--filter', `name=^${network}$`).trim().split('\n')
    expect(ids()).toHaveLength(2)
    expect((await started(task())).ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/)
    expect(ids()).toHaveLength(1)
  })

  test('has a subnet of ours, and gives an address that was freed to nobody else', async () => {
    const given = new Set<string>()
    for (let i = 0; i < 4; i += 1) {
      const one = await started(task())
      given.add(one.ip)
      await runtime.stop(one, 0)
      await runtime.remove(one)
      // the next run of the node continues the turn of addresses
    }
    expect(given.size).toBe(4)
    const [{ IPAM, Labels }] = JSON.parse(run('network', 'inspect', network))
    expect(IPAM.Config[0].Subnet).toMatch(/^10\.\d+\.\d+\.0\/18$/)
    expect(Labels['shadow.node']).toBe(node)
  })

  test('an address that somebody else has taken is not fought for', async () => {
    const first = await started(task())
    await runtime.stop(first, 0)
    await runtime.remove(first)
    const next = first.ip.replace(/\d+$/, last => String(Number(last) + 1))
    const stranger = run('run', '--detach', '--network', network, '--ip', next, await busyboxImage(), 'sleep', '60')
    try {
      const second = await started(task())
      expect(second.ip).not.toBe(next)
      expect(second.ip).not.toBe(first.ip)
    } finally {
      run('rm', '--force', stranger)
    }
  })

  test('whose subnet Docker chose, by an earlier version of Shadow, is made anew', async () => {
    const old = `${network}-old`
    run('network', 'create', '--label', 'shadow=network', old)
    try {
      const other = docker({ node, network: old })
      const container = await other.create(blog, task(), undefined, signal)
      expect(await other.start(container, signal)).toMatch(/^10\./)
      await other.stop(container, 0)
      await other.remove(container)
    } finally {
      run('network', 'rm', old)
    }
  })

  test('of two nodes have subnets of their own', async () => {
    const both = [`${network}-x`, `${network}-y`]
    try {
      const ips = await Promise.all(
        both.map(async (name, i) => {
          const other = docker({ node: nodeName(`${node}-${i}`), network: name })
          const container = await other.create(blog, task(), undefined, signal)
          const ip = await other.start(container, signal)
          await other.stop(container, 0)
          await other.remove(container)
          return ip
        }),
      )
      expect(ips[0]).not.toBe(ips[1])
    } finally {
      for (const name of both) run('network', 'rm', name)
    }
  })

  test('has no address of IPv6 on this machine, so that no browser here sees one change', async () => {
    const one = await started(task())
    const bridge = `br-${run('network', 'inspect', '--format', '{{.Id}}', network).slice(0, 12)}`
    const links = [bridge, ...readdirSync(`/sys/class/net/${bridge}/brif`)]
    expect(links.length).toBeGreaterThan(1)
    for (const link of links) {
      expect(readFileSync(`/proc/sys/net/ipv6/conf/${link}/disable_ipv6`, 'utf8').trim()).toBe('1')
      expect(readFileSync('/proc/net/if_inet6', 'utf8')).not.toContain(` ${link}\n`)
    }
    await runtime.stop(one, 0)
  })

  test('is left by one after the other, since dockerd locks up when several leave it at once', async () => {
    const apps = await Promise.all(
      Array.from({ length: 6 }, (_, i) => started(task({ app: appName(`app-${i}`), command: ['sleep', '1000'] }))),
    )
    await Promise.all(apps.map(app => runtime.stop(app, 0)))
    expect((await runtime.leftBehind()).map(({ running }) => running)).toEqual(apps.map(() => false))
  })

  test('of the same name that is not ours is not used', async () => {
    const foreign = `${network}-foreign`
    run('network', 'create', foreign)
    try {
      await expect(docker({ node, network: foreign }).create(blog, task(), undefined, signal)).rejects.toMatchObject({
        code: 'already-exists',
      })
    } finally {
      run('network', 'rm', foreign)
    }
  })
})
