// The npm package http-proxy as people use it: one agent with keep-alive, all other options default.
import { readFileSync } from 'node:fs'
import { Agent, createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import httpProxy from 'http-proxy'
import type { Setup } from './setup.ts'

const setup: Setup = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const proxy = httpProxy.createProxyServer({
  target: `http://${setup.backend}`,
  xfwd: true,
  ws: true,
  agent: new Agent({ keepAlive: true, maxSockets: 256 }),
})
proxy.on('error', (_error, _request, response) => void response.end())
const plain = createServer((request, response) => proxy.web(request, response))
const tls = createTlsServer(
  { cert: readFileSync(setup.cert), key: readFileSync(setup.key) },
  (request, response) => void proxy.web(request, response),
)
for (const server of [plain, tls]) {
  server.keepAliveTimeout = 600_000
  server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
}
plain.listen(setup.plain, '127.0.0.1')
tls.listen(setup.tls, '127.0.0.1')
