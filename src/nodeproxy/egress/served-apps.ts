import type { Clock } from '../../lib/clock.ts'
import { reachesHost } from '../../model/egress.ts'
import type { Hostname } from '../../model/hostname.ts'
import { headerValue, type WireCredential } from '../../model/wire.ts'
import type { Served } from '../runtime/named-egress.ts'
import { RefusedNames } from './refused-names.ts'

/** A connection of an app. `name`: the host that it goes to, as soon as that is known. */
export type AppConnection = { name: Hostname | undefined; readonly port: number; readonly cut: () => void }

/** Headers that hold secrets; or the secret that is missing for them. */
export type Added = { readonly headers: Readonly<Record<string, string>> } | { readonly missing: string }

const headersOf = (wire: readonly WireCredential[]): Readonly<Record<string, string>> =>
  Object.fromEntries(wire.map(one => [one.header, headerValue(one) ?? '']))

const MOST_CONNECTIONS = 500
const MOST_QUESTIONS = 100
/** On the node, for all apps. */
const MOST_IN_ALL = 4_000

/** An app that reaches hosts by their names, at the address of its container. */
export class ServedApp {
  readonly ip: string
  readonly refused: RefusedNames
  readonly connections = new Set<AppConnection>()
  /** Questions of it to the name server that are under way. */
  questions = 0
  reaches: Served
  /** The headers that requests to each host get. */
  readonly #headers = new Map<Hostname, Added>()

  constructor(ip: string, reaches: Served, clock: Clock) {
    this.ip = ip
    this.reaches = reaches
    this.refused = new RefusedNames(clock)
  }

  /** Whether it may reach the host at the port. */
  mayReach(name: Hostname, port?: number): boolean {
    return reachesHost(this.reaches.hosts, name, port)
  }

  /** What is added to each request to the host; undefined: nothing. `missing`: a secret that the app does not have, or that no header can carry. */
  addedFor(host: Hostname): Added | undefined {
    const wire = this.reaches.wire.filter(one => one.host === host)
    if (wire.length === 0) return undefined
    const known = this.#headers.get(host)
    if (known !== undefined) return known
    const missing = wire.find(one => headerValue(one) === undefined)?.secret
    const made = missing === undefined ? { headers: headersOf(wire) } : { missing }
    this.#headers.set(host, made)
    return made
  }

  get asksTooMuch(): boolean {
    return this.questions >= MOST_QUESTIONS
  }

  /** Ends connections to what the app may no longer reach. */
  change(reaches: Served): void {
    this.reaches = reaches
    this.#headers.clear()
    for (const { name, port, cut } of [...this.connections]) if (name !== undefined && !this.mayReach(name, port)) cut()
  }

  end(): void {
    for (const { cut } of [...this.connections]) cut()
  }
}

/** The apps that reach hosts by their names. An app is known by the address of its container, which no other container can use. */
export class ServedApps {
  readonly #clock: Clock
  readonly #apps = new Map<string, ServedApp>()
  #open = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Serves these apps from now on, and no others. */
  replace(apps: ReadonlyMap<string, Served>): void {
    for (const [ip, app] of [...this.#apps]) {
      if (apps.has(ip)) continue
      this.#apps.delete(ip)
      app.end()
    }
    for (const [ip, reaches] of apps) {
      const known = this.#apps.get(ip)
      if (known === undefined) this.#apps.set(ip, new ServedApp(ip, reaches, this.#clock))
      else known.change(reaches)
    }
  }

  at(ip: string): ServedApp | undefined {
    return this.#apps.get(ip)
  }

  /** Counts a connection of the app until the result is disposed; undefined if it has too many, or the node has. */
  enter(app: ServedApp, connection: AppConnection): Disposable | undefined {
    if (app.connections.size >= MOST_CONNECTIONS || this.#open >= MOST_IN_ALL) return undefined
    app.connections.add(connection)
    this.#open += 1
    return {
      [Symbol.dispose]: () => {
        if (app.connections.delete(connection)) this.#open -= 1
      },
    }
  }
}
