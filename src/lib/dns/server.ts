import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { ShadowError, systemCode } from '../errors.ts'
import { bind } from '../http/listening.ts'
import { plainAddress } from '../ip.ts'
import type { Log } from '../log.ts'
import type { ListenAddress } from '../settings.ts'
import { answerByTcp } from './tcp-server.ts'

export type DnsClient = { readonly ip: string; readonly isTcp: boolean }

type Options = {
  /** The answer to a message; undefined for none. A failure is logged, and nothing is answered. */
  readonly answer: (message: Buffer, client: DnsClient) => Promise<Buffer | undefined>
  readonly clock: Clock
  readonly log: Log
}

const MOST_TCP_CONNECTIONS = 1_000
const MOST_TCP_PER_ADDRESS = 32
/** More messages by UDP than that are not answered at a time: some answers take a question to another server. */
const MOST_AT_ONCE = 5_000
const PORT_TRIES = 20

/** A server that listens by UDP and by TCP on one port, as name servers do. */
export class DnsServer implements AsyncDisposable {
  readonly #options: Options
  readonly #open = new Map<Socket, string>()
  #udp: UdpSocket | undefined
  #tcp: Server | undefined
  #answering = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** Fails with `bad-input` if it cannot listen on the address. Port 0 stands for any free port. */
  async listen(at: ListenAddress): Promise<{ readonly address: string; readonly port: number }> {
    for (let tries = 1; ; tries += 1) {
      const tcp = createServer(socket => this.#serve(socket))
      const bound = await bind(tcp, at)
      try {
        this.#udp = await this.#listenByUdp({ host: at.host, port: bound.port })
        this.#tcp = tcp
        return bound
      } catch (cause) {
        await new Promise(resolve => tcp.close(resolve))
        // The port that was free for TCP may be in use for UDP.
        if (at.port === 0 && tries < PORT_TRIES && systemCode(cause) === 'EADDRINUSE') continue
        const why = systemCode(cause) === 'EADDRINUSE' ? 'it is in use' : String(cause)
        throw new ShadowError('bad-input', `cannot listen on ${bound.address} by UDP: ${why}`, { cause })
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp?.close()
    this.#udp = undefined
    for (const socket of this.#open.keys()) socket.destroy()
    const tcp = this.#tcp
    this.#tcp = undefined
    if (tcp?.listening) await new Promise<void>(resolve => tcp.close(() => resolve()))
  }

  async #listenByUdp({ host, port }: ListenAddress): Promise<UdpSocket> {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    udp.bind({ address: host, port })
    try {
      await once(udp, 'listening')
    } catch (error) {
      udp.close()
      throw error
    }
    udp.on('error', cause => this.#options.log.warn('name server', { cause }))
    udp.on('message', (message, from) => {
      if (this.#answering >= MOST_AT_ONCE) return
      void this.#answered(message, { ip: plainAddress(from.address), isTcp: false }).then(answer => {
        // This server may have been closed.
        if (answer !== undefined && this.#udp === udp) udp.send(answer, from.port, from.address, () => undefined)
      })
    })
    return udp
  }

  #serve(socket: Socket): void {
    const ip = plainAddress(socket.remoteAddress ?? '')
    const ofAddress = [...this.#open.values()].filter(one => one === ip).length
    if (this.#open.size >= MOST_TCP_CONNECTIONS || ofAddress >= MOST_TCP_PER_ADDRESS) {
      socket.on('error', () => undefined)
      return void socket.resetAndDestroy()
    }
    this.#open.set(socket, ip)
    socket.once('close', () => this.#open.delete(socket))
    answerByTcp(socket, {
      answer: message => this.#answered(message, { ip, isTcp: true }),
      clock: this.#options.clock,
    })
  }

  /** Never rejects. */
  async #answered(message: Buffer, client: DnsClient): Promise<Buffer | undefined> {
    this.#answering += 1
    try {
      return await this.#options.answer(message, client)
    } catch (cause) {
      this.#options.log.error('question to the name server not answered', { cause })
      return undefined
    } finally {
      this.#answering -= 1
    }
  }
}
