// Stands in for the hop of lib/http until that is there: node:http as it comes, by a table of hostnames.
import { readFileSync } from 'node:fs'
import { Agent, createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

type Routes = ReadonlyMap<string, string>

/** Opens one hop: what comes for a hostname goes to its address. */
export function openHop(
  routes: Routes,
  at: { plain: number; tls?: { port: number; cert: string; key: string } },
): void {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const addressOf = (request: IncomingMessage): string | undefined =>
    routes.get((request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase())

  const forward = (request: IncomingMessage, response: ServerResponse): void => {
    const address = addressOf(request)
    if (address === undefined) return void response.writeHead(404).end()
    const [host, port] = address.split(':')
    const { method, url, headers } = request
    const options = { agent, host, port, method, path: url, headers: { ...headers, 'x-forwarded-for': '127.0.0.1' } }
    const upstream = send(options, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    upstream.on('error', () => void response.destroy())
    response.on('close', () => void (response.writableFinished || upstream.destroy()))
    request.pipe(upstream)
  }

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const address = addressOf(request)
    if (address === undefined) return void socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n')
    const [host = '', port] = address.split(':')
    const upstream = connect({ host, port: Number(port), noDelay: true })
    const lines = request.rawHeaders.flatMap((text, index, all) =>
      index % 2 === 0 ? [`${text}: ${all[index + 1]}`] : [],
    )
    upstream.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    upstream.write(head)
    upstream.pipe(socket).pipe(upstream)
    upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    socket.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
  }

  const settings = { keepAliveTimeout: 600_000, noDelay: true }
  createServer(settings, forward).on('upgrade', upgrade).listen(at.plain, '127.0.0.1', 4_096)
  if (at.tls === undefined) return
  const { cert, key, port } = at.tls
  createTlsServer({ ...settings, cert: readFileSync(cert), key: readFileSync(key) }, forward)
    .on('upgrade', upgrade)
    .listen(port, '127.0.0.1', 4_096)
}
