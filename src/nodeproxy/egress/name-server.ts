import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { answerTo, notUnderstood, type Question, questionOf } from '../../lib/dns/query.ts'
import { answerByTcp } from '../../lib/dns/tcp-server.ts'
import { RCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { bind } from '../../lib/http/listening.ts'
import { plainAddress } from '../../lib/ip.ts'
import type { Log } from '../../lib/log.ts'
import { NOT_NAMED } from '../../model/egress.ts'
import { hostOf } from '../../model/hostname.ts'
import type { Lookup } from './lookup.ts'
import type { ServedApp, ServedApps } from './served-apps.ts'

type Options = {
  readonly apps: ServedApps
  readonly lookup: Pick<Lookup, 'find'>
  readonly clock: Clock
  readonly log: Log
}

const PORT_OF_DNS = 53
const MOST_ADDRESSES = 8

/**
 * The name server of apps that reach hosts by their names. It finds the names that such an app may reach; others it says are not there. All of an
 * app's questions come here, whatever name server it asks.
 */
export class NameServer implements AsyncDisposable {
  readonly #options: Options
  #udp: UdpSocket | undefined
  #tcp: Server | undefined
  readonly #open = new Set<Socket>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Listens at free ports of the address. */
  async listen(host: string): Promise<{ readonly udp: number; readonly tcp: number }> {
    const { log } = this.#options
    const udp = createSocket('udp4')
    udp.bind({ address: host, port: 0 })
    await once(udp, 'listening')
    this.#udp = udp
    udp.on('error', cause => log.warn('name server of apps', { cause }))
    udp.on('message', (message, { address, port }) => {
      void this.#answered(message, address).then(answer => {
        // The app may have gone, and this server may have been closed.
        if (answer !== undefined && this.#udp === udp) udp.send(answer, port, address, () => undefined)
      })
    })
    const tcp = createServer(socket => this.#serve(socket))
    this.#tcp = tcp
    const { port } = await bind(tcp, { host, port: 0 })
    return { udp: udp.address().port, tcp: port }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp?.close()
    this.#udp = undefined
    for (const socket of this.#open) socket.destroy()
    const tcp = this.#tcp
    this.#tcp = undefined
    if (tcp?.listening) await new Promise<void>(resolve => tcp.close(() => resolve()))
  }

  #serve(socket: Socket): void {
    const { apps, clock } = this.#options
    socket.on('error', () => undefined)
    const ip = plainAddress(socket.remoteAddress ?? '')
    const app = apps.at(ip)
    const entered =
      app && apps.enter(app, { name: undefined, port: PORT_OF_DNS, cut: () => void socket.resetAndDestroy() })
    if (app === undefined || entered === undefined) {
      socket.resetAndDestroy()
      return
    }
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      entered[Symbol.dispose]()
    })
    answerByTcp(socket, { answer: message => this.#answered(message, ip), clock })
  }

  /** The answer to a message from this address; undefined for none. Never rejects. */
  async #answered(message: Buffer, ip: string): Promise<Buffer | undefined> {
    const app = this.#options.apps.at(ip)
    if (app === undefined) return undefined
    const question = questionOf(message)
    if (question === undefined) return notUnderstood(message)
    if (app.asksTooMuch) return answerTo(message, question, RCODE.REFUSED)
    app.questions += 1
    try {
      return await this.#answer(message, question, app)
    } catch (cause) {
      this.#options.log.debug('name not found for an app', { name: question.name, cause })
      return answerTo(message, question, RCODE.SERVFAIL)
    } finally {
      app.questions -= 1
    }
  }

  async #answer(message: Buffer, question: Question, app: ServedApp): Promise<Buffer> {
    const { name, type, isInternet } = question
    const host = hostOf(name)
    if (!isInternet || host === undefined || !app.mayReach(host)) {
      // Names of addresses are asked for by many programs for their logs.
      if (!name.endsWith('.arpa')) app.refused.add(name, NOT_NAMED)
      return answerTo(message, question, RCODE.NXDOMAIN)
    }
    // There is no IPv6, and nothing else of a host that its connections need. `HTTPS` would lead to QUIC, and to names that are encrypted.
    if (type !== TYPE.A) return answerTo(message, question, RCODE.NOERROR)
    const { addresses, ttlSeconds } = await this.#options.lookup.find(host)
    if (addresses.length === 0) return answerTo(message, question, RCODE.NXDOMAIN)
    return answerTo(message, question, RCODE.NOERROR, { addresses: addresses.slice(0, MOST_ADDRESSES), ttlSeconds })
  }
}
