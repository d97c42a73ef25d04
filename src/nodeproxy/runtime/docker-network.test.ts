import assert from 'node:assert/strict'
import type Docker from 'dockerode'
import { test } from 'vitest'
import { nodeName } from '../../model/names.ts'
import type { Engine } from './docker-engine.ts'
import { DockerNetwork } from './docker-network.ts'

const failure = (statusCode: number, message: string): Error => Object.assign(new Error(message), { statusCode })

/** A Docker with its networks. `overlaps`: so many calls that make one are answered as if the subnet was taken, though they have made it. */
function dockerWith(overlaps: number) {
  const networks: Docker.NetworkInspectInfo[] = []
  let left = overlaps
  const docker = {
    getNetwork: (name: string) => ({
      inspect: async () => {
        const found = networks.filter(({ Name, Id }) => Name === name || Id === name)
        if (found.length > 1) throw failure(400, `2 matches found based on name: network ${name} is ambiguous`)
        if (found[0] === undefined) throw failure(404, 'no such network')
        return found[0]
      },
      remove: async () =>
        void networks.splice(
          networks.findIndex(({ Id }) => Id === name),
          1,
        ),
    }),
    listNetworks: async () => networks,
    createNetwork: async (options: Docker.NetworkCreateOptions) => {
      const id = `${networks.length + 1}`.padStart(64, '0')
      networks.push({ ...options, Id: id, Created: `2026-01-01T00:00:0${networks.length}Z` } as never)
      left -= 1
      if (left >= 0) throw failure(403, 'Pool overlaps with other one on this address space')
    },
  } as unknown as Docker
  const engine: Engine = { ask: call => call(docker), stream: () => assert.fail() }
  return { network: new DockerNetwork(engine, nodeName('n1'), 'shadow-n1'), networks }
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
