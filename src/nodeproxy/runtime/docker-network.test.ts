import assert from 'node:assert/strict'
import { test } from 'vitest'
import { nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { fakeDockerNetworks } from '../../testing/fake-docker-networks.ts'
import { Addresses } from './addresses.ts'
import { DockerNetwork } from './docker-network.ts'

/** `overlaps`: so many calls that make a network are answered as if the subnet was taken, though they have made it. */
function dockerWith(overlaps: number) {
  const docker = fakeDockerNetworks({ overlaps })
  const addresses = new Addresses({ clock: new HandClock() })
  return { ...docker, network: new DockerNetwork(docker.engine, nodeName('n1'), 'shadow-n1', addresses) }
}

test('the network is made once', async () => {
  const { network, networks } = dockerWith(0)
  const [one, other] = await Promise.all([network.ensure(), network.ensure()])
  assert.equal(one, other)
  assert.equal(networks.length, 1)
})

test('of two networks of the name, as a call that was repeated leaves them, the first one is used and the other removed', async () => {
  const { network, networks } = dockerWith(1)
  const link = await network.ensure()
  assert.deepEqual(
    networks.map(({ Id }) => Number(Id)),
    [1],
  )
  assert.equal(link, `br-${'0'.repeat(12)}`)
  assert.ok(network.gateway.endsWith('.1'))
})
