// The data plane of a front with two apps: `/hung` goes to a slow one, all other requests to an innocent one.
import { once } from 'node:events'
import { createServer as createApp, type RequestListener } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ExchangeServer } from '../../src/lib/http/downstream/exchange-server.ts'
import { noLog } from '../../src/lib/log.ts'

const ANSWERS_AFTER_MS = 20

async function listening(listener: RequestListener): Promise<string> {
  const server = createApp(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const innocent = await listening((_request, response) => response.end('ok'))
const slow = await listening(async (_request, response) => {
  await sleep(ANSWERS_AFTER_MS)
  response.end('ok')
})
const exchanges = new ExchangeServer({
  log: noLog,
  handler: exchange => exchange.forward({ address: exchange.isFor('/hung') ? slow : innocent, forwarded: 'replace' }),
})
const ports: number[] = []
for (const alpnProtocol of ['http/1.1', 'h2']) {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, socket =>
    exchanges.accept(Object.assign(socket, { alpnProtocol })),
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  ports.push((server.address() as AddressInfo).port)
}
const [http, h2] = ports
process.stdout.write(`${JSON.stringify({ http: String(http), h2: String(h2) })}\n`)
