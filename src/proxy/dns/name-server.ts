import type { Clock } from '../../lib/clock.ts'
import { readQuery } from '../../lib/dns/query.ts'
import { type DnsResponse, encodeResponse } from '../../lib/dns/response.ts'
import { type DnsClient, DnsServer } from '../../lib/dns/server.ts'
import { RCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { networkOf } from '../../lib/ip.ts'
import type { Log } from '../../lib/log.ts'
import { Buckets, bucketsMemory } from '../../lib/shared/buckets.ts'
import { type DnsView, isChallengeName, zoneOf } from '../../model/dns.ts'
import { type Hostname, hostOf } from '../../model/hostname.ts'
import { zoneAnswer } from './zone.ts'

type Options = {
  /** undefined: no master has said anything yet. */
  readonly view: () => DnsView | undefined
  /** The TXT records of the name of a challenge; undefined: it cannot be found out now. Never rejects. */
  readonly texts: (name: Hostname) => Promise<readonly string[] | undefined>
  readonly random?: () => number
  readonly clock: Clock
  readonly log: Log
}

/**
 * Answers by UDP for each network. A sender of forged queries must not use this server against somebody else. A large resolver asks for each hostname twice a
 * minute.
 */
const RATE = { perSecond: 200, burst: 1_000 }
const NETWORK_BITS = { v4: 24, v6: 56 }
const NETWORKS = 16_384
/** Of the queries over the limit, each third is answered by "ask by TCP", which is no longer than the query. */
const SLIP = 3

/** A name server that is authoritative for the zones of the cluster. It asks nobody else, except for TXT records of challenges, which masters have. */
export class NameServer {
  readonly #options: Options
  readonly #limits = new Buckets(bucketsMemory(NETWORKS))
  #over = 0
  /** Queries that were answered, by UDP and TCP. */
  answered = 0
  /** Queries over the limit of their network. */
  limited = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** A server of this on the address, once it listens. Fails with `bad-input`. */
  async listen(at: Parameters<DnsServer['listen']>[0]) {
    const { clock, log } = this.#options
    const server = new DnsServer({ answer: (message, client) => this.answer(message, client), clock, log })
    return { ...(await server.listen(at)), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  }

  /** The answer to a message from this client; undefined for none. */
  async answer(message: Buffer, client: DnsClient): Promise<Buffer | undefined> {
    const isOver = !client.isTcp && this.#isOver(client.ip)
    if (isOver) {
      this.limited += 1
      this.#over = (this.#over + 1) % SLIP
      if (this.#over !== 0) return undefined
    }
    const read = readQuery(message)
    if (!('query' in read)) return isOver ? undefined : read.answer
    const { query } = read
    this.answered += 1
    const response = isOver ? TRUNCATED : await this.#respond(query)
    return encodeResponse(message, query, response, client.isTcp ? undefined : query.mostUdpBytes)
  }

  async #respond({ name, type, isInternet }: Asked): Promise<DnsResponse> {
    const { view: known, texts: find, random = Math.random } = this.#options
    const view = known()
    if (view === undefined) return { rcode: RCODE.SERVFAIL }
    const zone = zoneOf(name, view.zones)
    if (zone === undefined || !isInternet || TRANSFERS.includes(type)) return { rcode: RCODE.REFUSED }
    let texts: readonly string[] | undefined = []
    const host = type === TYPE.TXT && isChallengeName(name) ? hostOf(name) : undefined
    if (host !== undefined) texts = await find(host)
    if (texts === undefined) return { rcode: RCODE.SERVFAIL }
    return zoneAnswer({ name, type }, { zone, view, texts, random })
  }

  #isOver(ip: string): boolean {
    const network = networkOf(ip, ip.includes(':') ? NETWORK_BITS.v6 : NETWORK_BITS.v4)
    return this.#limits.take(network, RATE, this.#options.clock.now()) > 0
  }
}

type Asked = { readonly name: string; readonly type: number; readonly isInternet: boolean }

const TRUNCATED: DnsResponse = { rcode: RCODE.NOERROR, isTruncated: true }
const TRANSFERS: readonly number[] = [TYPE.AXFR, TYPE.IXFR]
