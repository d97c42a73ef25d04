import type { Destinations } from '../../model/egress.ts'
import type { RefusedName } from '../../model/instance.ts'
import type { WireCredential } from '../../model/wire.ts'

/** An app that is served: what it may reach, and the secrets that its requests get. */
export type Served = Destinations & { readonly wire: readonly WireCredential[] }

/** Where the packet filter leads connections of apps to: ports at the gateway of their network. `ports`: by the port that they are for. */
export type Redirects = {
  readonly dns: { readonly udp: number; readonly tcp: number }
  readonly ports: ReadonlyMap<number, number>
}

/** Serves apps whose definition names domains: it finds their names, and connects them to what these stand for. */
export interface NamedEgress extends AsyncDisposable {
  /**
   * Serves these apps, by the addresses of their containers, and no others of their network, at its gateway. Open connections that an app may no
   * longer have end. `frontPorts`: ports of this machine that every app may reach. Fails with `egress-open`, and where it cannot listen.
   */
  serve(gateway: string, apps: ReadonlyMap<string, Served>, frontPorts: readonly number[]): Promise<Redirects>
  /** There is no network with the gateway any more. */
  leave(gateway: string): Promise<void>
  /** The folder with the certificates that a container has to trust, if its requests get secrets. */
  certificates(): Promise<string>
  /** What was lately refused to the app at the address, because of its name. */
  refused(ip: string): readonly RefusedName[]
}
