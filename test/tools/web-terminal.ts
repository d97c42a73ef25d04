import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { z } from 'zod'
import type { TerminalReply, TerminalRequestSchema } from '../../src/api/terminal-calls.ts'
import { until } from './shadow.ts'

type TerminalRequest = z.output<typeof TerminalRequestSchema>
type Options = {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Does not tell the master that output was shown. */
  readonly isSlow?: boolean
}

/** A terminal by WebSocket, as a browser has it. */
export class WebTerminal {
  readonly socket: WebSocket
  readonly replies: TerminalReply[] = []
  text = ''
  bytes = 0

  private constructor(socket: WebSocket, isSlow: boolean) {
    this.socket = socket
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) {
        this.replies.push(JSON.parse(data.toString()))
        return
      }
      this.bytes += data.length
      this.text = (this.text + data.toString()).slice(-100_000)
      if (!isSlow) this.say({ taken: data.length })
    })
  }

  /** Rejects if the upgrade is refused. */
  static async open({ url, headers, isSlow = false }: Options): Promise<WebTerminal> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
    const terminal = new WebTerminal(socket, isSlow)
    await once(socket, 'open')
    return terminal
  }

  type(text: string): void {
    this.socket.send(Buffer.from(text))
  }

  say(request: TerminalRequest): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request))
  }

  /** Resolves when the output has what matches. */
  async untilShown(pattern: RegExp): Promise<void> {
    await until(async () => pattern.test(this.text) || undefined)
  }

  async reply<K extends string>(kind: K): Promise<Extract<TerminalReply, Record<K, unknown>>> {
    return until(async () => this.replies.find(reply => kind in reply)) as never
  }
}
