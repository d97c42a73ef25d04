import type { MasterClient } from '../api/client.ts'
import { fleetCalls } from '../api/fleet-calls.ts'
import { newJoinSecret } from '../api/join-token.ts'
import { parseCall } from '../api/parse-call.ts'
import { ShadowError } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { Call, Handlers } from '../master/call.ts'
import { fleetHandlers } from '../master/fleet/handlers.ts'
import { fleetRecords } from '../master/fleet/records.ts'
import type { Node } from '../model/app.ts'
import { fleetName } from '../model/fleet.ts'
import type { NodeName } from '../model/names.ts'
import { Autoscaler } from '../proxy/fleet/autoscaler.ts'
import { Demand } from '../proxy/fleet/demand.ts'
import { type Ec2Terms, ec2 } from '../proxy/fleet/ec2.ts'
import { ec2Prices } from '../proxy/fleet/prices.ts'
import type { Terms } from '../proxy/fleet/world.ts'
import { HandClock } from './clock.ts'
import { aNode } from './front.ts'
import { memoryStorage } from './memory-storage.ts'
import { ServerCloud } from './server-cloud.ts'

const GIB = 2 ** 30
const FLEET = fleetName('prod')
const SUBNETS = { 's-a': 'eu-1a', 's-b': 'eu-1b' }
const TERMS: Terms = { max: 2, warmBytes: 0, idleMs: 600_000, joinWithinMs: 600_000, standby: 0 }

type Front = {
  readonly autoscaler: Autoscaler
  readonly demand: Demand
}
type FrontOptions = {
  readonly terms?: Partial<Terms>
  readonly ec2?: Partial<Ec2Terms>
  readonly isDryRun?: boolean
  /** Called before each call of the master; it may wait, or throw as if the front had died. */
  readonly before?: (call: string) => Promise<void> | void
}
type FleetCall = keyof typeof fleetCalls

/**
 * A fleet in one process: the real record of the master in a store, a strict cloud, and machines that become nodes some seconds after they
 * run. Nodes and the cluster are the test's own: what the master does with them is tested with real masters.
 */
export class FleetWorld {
  readonly clock = new HandClock()
  readonly cloud: ServerCloud
  /** Nodes that announce themselves, by name. A test changes them. */
  readonly nodes = new Map<NodeName, Node>()
  /** Nodes with a volume on their disk. */
  readonly withVolumes = new Set<NodeName>()
  /** What the master was told of nodes, such as `removed prod-1-abcdef`. */
  readonly told: string[] = []
  /** Whether machines become nodes. */
  joins = true
  readonly #storage = memoryStorage()
  readonly #tokens = new Map<string, NodeName>()

  constructor({ lagMs = 0 } = {}) {
    this.cloud = new ServerCloud({ clock: this.clock, subnets: SUBNETS, lagMs })
  }

  /** A front of this name, which an admin has allowed. */
  async front(
    name: string,
    { terms, ec2: ec2Terms, isDryRun = false, before = () => undefined }: FrontOptions = {},
  ): Promise<Front> {
    const { clock, cloud } = this
    const handlers = this.#handlers()
    await handlers.allowFleet({ params: { fleet: FLEET, front: name }, body: {} }, {} as Call)
    const call = async (call: FleetCall, input: object): Promise<unknown> => {
      await before(call)
      const { params, query, body } = fleetCalls[call] as unknown as Record<string, never>
      const parsed = parseCall({ params, query, body }, JSON.parse(JSON.stringify(input)))
      const caller = { id: name, name, role: 'proxy' as const }
      const answer = await (
        handlers[call] as (input: unknown, call: unknown) => Promise<{ value: unknown } | undefined>
      )(parsed, { caller })
      return answer?.value
    }
    const demand = new Demand(clock, () => undefined)
    const autoscaler = new Autoscaler({
      name: FLEET,
      driver: 'ec2',
      open: async () =>
        ec2({
          terms: { name: FLEET, types: ['m7g.large'], subnets: ['s-a', 's-b'], spot: 'off', ...ec2Terms },
          api: cloud,
          prices: ec2Prices(),
          userData: ({ node, joinToken }) => `${node} ${joinToken}`,
          clock,
        }),
      prices: 'tests',
      terms: { ...TERMS, ...terms },
      drainMs: 3_600_000,
      isDryRun,
      demand,
      nodes: this.#seen(),
      master: { call } as unknown as MasterClient,
      clock,
      log: noLog,
    })
    return { autoscaler, demand }
  }

  /** Lets time pass, in which machines become nodes. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5_000) {
      await this.clock.advance(Math.min(5_000, left))
      this.#boot()
    }
  }

  /** The front looks at the fleet every ten seconds, for so long. */
  async run(front: Front, ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10_000) {
      await front.autoscaler.look()
      await this.pass(10_000)
    }
  }

  /** What the admin reads. */
  async report() {
    const { value } = await this.#handlers().getFleet({ params: { fleet: FLEET } }, {} as Call)
    return value
  }

  /** The only node of the fleet. */
  get node(): Node {
    const [node, ...others] = this.nodes.values()
    if (node === undefined || others.length > 0) throw new Error(`${this.nodes.size} nodes`)
    return node
  }

  change(name: NodeName, changes: Partial<Node>): void {
    const node = this.nodes.get(name)
    if (node !== undefined) this.nodes.set(name, { ...node, ...changes })
  }

  /** Machines that run join by the token in their user data, and are silent when they do not run. */
  #boot(): void {
    for (const { state, tags, userData } of this.cloud.all) {
      const name = (tags['shadow:node'] ?? '') as NodeName
      const isThere = this.nodes.has(name)
      if (state === 'running' && this.joins && !isThere && this.#knows(userData, name)) {
        const room = { reservableBytes: 4 * GIB, freeBytes: 4 * GIB, idleBytes: 0 }
        const slots = { total: 20, free: 20, idle: 0 }
        this.nodes.set(name, {
          ...aNode(name, `${name}:8081`),
          room,
          volumeSlots: slots,
          volumeDrivers: ['loop', 'ebs'],
        })
      }
      const wants = state === 'running' ? 'healthy' : 'gone'
      const node = this.nodes.get(name)
      if (node !== undefined && node.state !== wants)
        this.change(name, { state: wants, since: new Date(this.clock.wall()).toISOString() })
    }
  }

  #knows(userData: string, name: NodeName): boolean {
    return [...this.#tokens].some(([secret, its]) => its === name && userData.includes(secret))
  }

  /** The nodes as a front sees them. */
  #seen() {
    const { nodes } = this
    return {
      get all() {
        return [...nodes.values()].map(node => ({
          node,
          healthy: node.state === 'healthy',
          overloaded: false,
          lostAt: undefined,
          appNetworks: [],
        }))
      },
    }
  }

  #handlers(): Pick<Handlers, FleetCall> {
    const { clock, nodes, told } = this
    const cordon = (name: NodeName, to: Node['cordon'], toLeave: number | undefined): void => {
      if (!nodes.has(name)) throw new ShadowError('not-found', `no node is called ${name}`)
      told.push(`${to ? 'drained' : 'undrained'} ${name}`)
      this.change(name, { cordon: to, toLeave })
    }
    const mustHaveNoVolumes = (name: NodeName, code: 'volumes-stay' | 'node-in-use'): void => {
      if (this.withVolumes.has(name)) throw new ShadowError(code, `one volume is on the disk of ${name}`)
    }
    const remove = (name: NodeName, how: string): never[] => {
      told.push(`${how} ${name}`)
      nodes.delete(name)
      return []
    }
    return fleetHandlers({
      fleets: fleetRecords({ storage: this.#storage, clock }),
      cordons: {
        drain: async (name: NodeName) => {
          mustHaveNoVolumes(name, 'volumes-stay')
          const at = new Date(clock.wall()).toISOString()
          cordon(name, { since: at, drain: { until: at, volumes: 'keep' } }, nodes.get(name)?.awake ?? 0)
        },
        uncordon: async (name: NodeName) => cordon(name, undefined, undefined),
      } as never,
      removal: {
        removeEmpty: async (name: NodeName) => {
          mustHaveNoVolumes(name, 'node-in-use')
          const node = nodes.get(name)
          if (node !== undefined && node.state !== 'gone' && node.cordon === undefined)
            throw new ShadowError('node-in-use', `${name} still takes apps`)
          return remove(name, 'removed')
        },
        removeEnded: async (name: NodeName) => remove(name, 'ended'),
      } as never,
      cluster: {
        tokenFor: async (name: NodeName) => {
          if (nodes.has(name)) throw new ShadowError('already-exists', `${name} has joined`)
          const secret = newJoinSecret()
          this.#tokens.set(secret, name)
          return { secret, caHash: 'A'.repeat(43), url: 'https://127.0.0.1:1' }
        },
        forgetTokensFor: async (name: NodeName) => {
          for (const [token, its] of this.#tokens) if (its === name) this.#tokens.delete(token)
        },
      } as never,
    })
  }
}
