import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { fakeDockerNetworks } from '../../testing/fake-docker-networks.ts'
import { AppNetworks } from './app-networks.ts'

const EMPTY_MS = 600_000
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise(resolve => setTimeout(resolve))
}

function networksOf(mostPorts: number, docker = fakeDockerNetworks()) {
  const clock = new HandClock()
  const removed: string[] = []
  const networks = new AppNetworks({
    engine: docker.engine,
    node: nodeName('n1'),
    name: 'shadow-n1',
    addressesFile: undefined,
    mostPorts,
    onRemoved: async name => void removed.push(name),
    clock,
    log: noLog,
  })
  const names = () => docker.networks.map(({ Name }) => Name).toSorted()
  /** Takes places one after the other; answers with the numbers of their networks and their addresses. */
  const take = async (count: number, isLinked = false) => {
    const places = []
    for (let i = 0; i < count; i += 1) places.push(await networks.take({ isLinked }))
    return places.map(({ network, address }) => ({ network: network.name.replace('shadow-n1', 'n'), address }))
  }
  return { docker, clock, networks, removed, names, take }
}
const where = (places: readonly { network: string }[]) => places.map(({ network }) => network)

test('a network is filled before the next one is used, and the next one is there before it is needed', async () => {
  const { take, names } = networksOf(3)
  assert.deepEqual(where(await take(1)), ['n'])
  assert.deepEqual(names(), ['shadow-n1'])
  assert.deepEqual(where(await take(1)), ['n'])
  await until(() => names().includes('shadow-n1_2'))
  const all = await take(5)
  assert.deepEqual(where(all), ['n', 'n_2', 'n_2', 'n_2', 'n_3'])
  assert.equal(new Set(all.map(({ address }) => address)).size, 5)
})

test('many at once never make a network too full', async () => {
  const { networks } = networksOf(3)
  const places = await Promise.all(Array.from({ length: 10 }, () => networks.take({ isLinked: false })))
  const count = (name: string) => places.filter(({ network }) => network.name === name).length
  assert.deepEqual(['shadow-n1', 'shadow-n1_2', 'shadow-n1_3', 'shadow-n1_4'].map(count), [3, 3, 3, 1])
  for (const { network, address } of places) assert.equal(networks.of(address), network)
})

test('a part of the first network is kept for apps that use others or are used, and all of these are on it', async () => {
  const { take, networks } = networksOf(8)
  assert.deepEqual(where(await take(7)), ['n', 'n', 'n', 'n', 'n', 'n', 'n_2'])
  assert.deepEqual(where(await take(2, true)), ['n', 'n'])
  await assert.rejects(networks.take({ isLinked: true }), { code: 'addresses-full' })
  assert.deepEqual(where(await take(1)), ['n_2'])
})

test('a place that is free again is used before those of later networks', async () => {
  const { take, networks } = networksOf(3)
  const all = await take(5)
  networks.free(String(all[1]?.address))
  assert.deepEqual(where(await take(2)), ['n', 'n_2'])
})

test('what is not needed any more is removed after a while, the first network never', async () => {
  const { take, networks, names, clock, removed } = networksOf(3)
  const all = await take(5)
  await until(() => names().includes('shadow-n1_3'))
  for (const { address } of all.slice(3)) networks.free(address)
  await clock.advance(EMPTY_MS - 1)
  assert.deepEqual(names(), ['shadow-n1', 'shadow-n1_2', 'shadow-n1_3'])
  await clock.advance(1)
  await until(() => removed.length > 0)
  assert.equal(names().length, 2, 'the first one is full, and the next wake needs another one')
  for (const { address } of all.slice(0, 3)) networks.free(address)
  await clock.advance(EMPTY_MS)
  await until(() => removed.length > 1)
  assert.deepEqual(names(), ['shadow-n1'])
  assert.deepEqual(removed.toSorted(), ['shadow-n1_2', 'shadow-n1_3'])
  assert.deepEqual(where(await take(4)), ['n', 'n', 'n', 'n_2'])
})

test('a network with a container in it, ours or not, is not removed', async () => {
  const { take, networks, names, docker, removed } = networksOf(3)
  const all = await take(8)
  for (const { address, network } of all) if (network !== 'n_3') networks.free(address)
  docker.state.inUse.add('shadow-n1_2')
  await networks.close()
  assert.deepEqual(names(), ['shadow-n1', 'shadow-n1_2', 'shadow-n1_3'])
  docker.state.inUse.clear()
  await networks.close()
  assert.deepEqual(names(), ['shadow-n1', 'shadow-n1_3'])
  assert.deepEqual(removed.toSorted(), ['shadow-n1_2', 'shadow-n1_4'])
})

test('the next run of a node finds the networks of the node, and no others', async () => {
  const docker = fakeDockerNetworks()
  const before = networksOf(3, docker)
  const all = await before.take(5)
  const labels = { shadow: 'network', 'shadow.subnet': 'chosen' }
  const named = (Name: string, node: string) =>
    docker.networks.push({
      ...{ Name, Id: Name.padStart(64, '0'), Created: '2026-01-01T00:00:00Z' },
      ...{ Labels: { ...labels, 'shadow.node': node }, IPAM: { Config: [{ Subnet: '10.9.0.0/18' }] } },
    } as never)
  named('shadow-n1_7', 'n2')
  named('shadow-n1_own', 'n1')
  const { networks, take } = networksOf(3, docker)
  await networks.open()
  assert.deepEqual(
    networks.all.map(({ name }) => name),
    ['shadow-n1', 'shadow-n1_2'],
  )
  for (const { address } of all) networks.of(address)?.isUsed(address)
  assert.deepEqual(
    (await networks.here()).map(({ network }) => network),
    ['shadow-n1', 'shadow-n1_2'],
  )
  assert.deepEqual(where(await take(2)), ['n_2', 'n_3'])
})

test('where no subnet is left for another network, apps get what was kept on the first one', async () => {
  const { take, docker, networks } = networksOf(8)
  await take(1)
  docker.state.noSubnets = true
  assert.deepEqual(where(await take(7)), Array(7).fill('n'))
  await assert.rejects(networks.take({ isLinked: false }), { code: 'addresses-full' })
  docker.state.noSubnets = false
  assert.deepEqual(where(await take(1)), ['n_2'])
})
