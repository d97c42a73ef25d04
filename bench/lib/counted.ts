import { Agent, createServer, request } from 'node:http'
import { listen } from '../../src/lib/http/api/request-handler.ts'

/** A proxy in front of an HTTP server that lists the requests. */
export type Counted = AsyncDisposable & {
  readonly url: string
  /** The requests until now, as `GET /path`. */
  readonly requests: string[]
  /** While it is true, every connection is cut, as if the server were gone. */
  away: boolean
}

/** Passes requests to the server at `url` unchanged, and lists them. */
export async function counted(url: string): Promise<Counted> {
  const { hostname, port } = new URL(url)
  const agent = new Agent({ keepAlive: true })
  const requests: string[] = []
  let away = false
  const server = createServer((incoming, response) => {
    if (away) return incoming.socket.destroy()
    requests.push(`${incoming.method} ${incoming.url}`)
    const { method, url: path, rawHeaders: headers } = incoming
    const outgoing = request({ hostname, port, agent, method, path, headers, setHost: false })
    outgoing
      .on('response', answer => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        response.flushHeaders()
        answer.pipe(response)
      })
      .on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  return {
    url: `http://${listening.address}`,
    requests,
    get away() {
      return away
    },
    set away(to) {
      away = to
      if (to) server.closeAllConnections()
    },
    async [Symbol.asyncDispose]() {
      await listening[Symbol.asyncDispose]()
      agent.destroy()
    },
  }
}
