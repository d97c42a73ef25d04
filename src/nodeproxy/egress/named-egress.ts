import { readFile } from 'node:fs/promises'
import { createSecureContext, rootCertificates } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Destinations } from '../../model/egress.ts'
import type { RefusedName } from '../../model/instance.ts'
import type { NamedEgress, Redirects, Served } from '../runtime/named-egress.ts'
import { Lookup, resolver } from './lookup.ts'
import { NameServer } from './name-server.ts'
import { EgressProxy } from './proxy.ts'
import { ServedApps } from './served-apps.ts'
import { WireAuthority } from './wire-authority.ts'

type Options = {
  /** Name servers, as `203.0.113.53` or `127.0.0.1:5353`; undefined: those of this machine. */
  readonly servers: readonly string[] | undefined
  /** The folder of the authority that signs for hosts with credentials. */
  readonly folder: string
  /** Authorities that such hosts may have beside the public ones, PEM. */
  readonly authorities?: string | undefined
  readonly clock: Clock
  readonly log: Log
}

const MOST_PORTS = 256

type Room = {
  readonly proxy: EgressProxy
  readonly dns: Redirects['dns']
  close(): Promise<void>
}

/** Opens the name server and the proxy for apps that reach hosts by their names, as soon as there is such an app. */
export function namedEgress({ servers, folder, authorities, clock, log }: Options): NamedEgress {
  const apps = new ServedApps(clock)
  const lookup = new Lookup({ clock, resolve: resolver(servers) })
  const authority = new WireAuthority(folder, clock)
  let frontPorts: readonly number[] = []
  /** By the gateway of the network; so are the apps that are served. */
  const rooms = new Map<string, Room>()
  const servedAt = new Map<string, ReadonlyMap<string, Served>>()
  let isClosed = false

  async function open(gateway: string): Promise<Room> {
    const names = new NameServer({ apps, lookup, clock, log })
    const proxy = new EgressProxy({
      apps,
      lookup,
      authority,
      trust: createSecureContext({ ca: trusted(authorities), minVersion: 'TLSv1.2' }),
      frontPorts: () => frontPorts,
      clock,
      log,
    })
    const close = async (): Promise<void> => {
      await names[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    }
    try {
      return { proxy, dns: await names.listen(gateway), close }
    } catch (cause) {
      await close()
      throw cause
    }
  }

  const replaceApps = (): void => apps.replace(new Map([...servedAt.values()].flatMap(served => [...served])))

  return {
    async serve(gateway, served, ports) {
      if (isClosed) throw new ShadowError('shutting-down', 'this node is stopping')
      frontPorts = ports
      servedAt.set(gateway, served)
      replaceApps()
      const wanted = portsOf(served)
      const room = rooms.get(gateway) ?? (await open(gateway))
      rooms.set(gateway, room)
      return { dns: room.dns, ports: await room.proxy.listen(gateway, wanted) }
    },
    async leave(gateway) {
      servedAt.delete(gateway)
      replaceApps()
      await rooms.get(gateway)?.close()
      rooms.delete(gateway)
    },
    certificates: () => authority.folder(),
    refused: (ip): readonly RefusedName[] => apps.at(ip)?.refused.all ?? [],
    async [Symbol.asyncDispose]() {
      isClosed = true
      apps.replace(new Map())
      for (const room of rooms.values()) await room.close()
      rooms.clear()
    },
  }
}

const trusted = (more: string | undefined): string[] => [...rootCertificates, ...(more === undefined ? [] : [more])]

/** The settings of a node, with the authorities read from their file. */
export const egressSettings = async (config: {
  readonly nameServers: readonly string[] | undefined
  readonly egressAuthorities: string | undefined
}): Promise<Pick<Options, 'servers' | 'authorities'>> => ({
  servers: config.nameServers,
  authorities: config.egressAuthorities && (await readFile(config.egressAuthorities, 'utf8')),
})

function portsOf(served: ReadonlyMap<string, Destinations>): ReadonlySet<number> {
  const ports = new Set([...served.values()].flatMap(({ hosts }) => hosts.flatMap(one => one.ports)))
  if (ports.size <= MOST_PORTS) return ports
  throw new ShadowError(
    'egress-open',
    `the apps that are awake on this node reach domains at ${ports.size} ports; ${MOST_PORTS} at most`,
  )
}
