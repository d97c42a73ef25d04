import assert from 'node:assert/strict'
import type { Engine } from '../nodeproxy/runtime/docker-engine.ts'

type Docker = Parameters<Parameters<Engine['ask']>[0]>[0]
type Network = Awaited<ReturnType<ReturnType<Docker['getNetwork']>['inspect']>>
type CreateOptions = { readonly Name: string }

const failure = (statusCode: number, message: string): Error => Object.assign(new Error(message), { statusCode })

/**
 * A Docker with its networks alone. `overlaps`: so many calls that make one are answered as if the subnet was taken, though they have made it.
 * `inUse`: the names of networks with containers that run; `noSubnets`: each subnet is taken.
 */
export function fakeDockerNetworks({ overlaps = 0 } = {}) {
  const networks: Network[] = []
  const state = { inUse: new Set<string>(), noSubnets: false }
  let left = overlaps
  let made = 0
  const matching = (name: string) => networks.filter(({ Name, Id }) => Name === name || Id === name)
  const docker = {
    getNetwork: (name: string) => ({
      inspect: async () => {
        const found = matching(name)
        if (found.length > 1) throw failure(400, `2 matches found based on name: network ${name} is ambiguous`)
        if (found[0] === undefined) throw failure(404, 'no such network')
        return found[0]
      },
      remove: async () => {
        const [found] = matching(name)
        if (found === undefined) throw failure(404, 'no such network')
        if (state.inUse.has(found.Name)) throw failure(403, 'network has active endpoints')
        networks.splice(networks.indexOf(found), 1)
      },
    }),
    listNetworks: async ({ filters = {} }: { filters?: { label?: string[]; name?: string[] } } = {}) =>
      networks.filter(
        ({ Name, Labels = {} }) =>
          (filters.name ?? []).every(part => Name.includes(part)) &&
          (filters.label ?? []).every(one => {
            const [key = '', value] = one.split('=')
            return Labels[key] === value
          }),
      ),
    createNetwork: async (options: CreateOptions) => {
      if (state.noSubnets) throw failure(403, 'Pool overlaps with other one on this address space')
      made += 1
      const id = `${made}`.padStart(64, '0')
      networks.push({ ...options, Id: id, Created: `2026-01-01T00:00:0${networks.length}Z` } as never)
      left -= 1
      if (left >= 0) throw failure(403, 'Pool overlaps with other one on this address space')
    },
  } as unknown as Docker
  const engine: Engine = { ask: call => call(docker), stream: () => assert.fail() }
  return { engine, networks, state }
}
