import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { block, END_HEADERS, END_STREAM, FRAME, FrameClient } from '../../../src/testing/h2-wire.ts'
import type { H2Payload } from './h2-payloads.ts'

const ANSWERED_MS = 5_000

/**
 * Sends one request by HTTP/2 over TLS, frame by frame. Returns what the client received, or undefined if the request was refused. An
 * answer always comes.
 */
export async function attackOverH2(port: number, payload: H2Payload): Promise<string | undefined> {
  const { name, fields, data, trailers } = payload
  const options = { port, host: '127.0.0.1', servername: 'app', ALPNProtocols: ['h2'], rejectUnauthorized: false }
  const socket = connect(options)
  socket.setNoDelay()
  await once(socket, 'secureConnect')
  using client = new FrameClient(socket)
  client.ask(1, fields, data !== undefined)
  for (const [at, piece] of (data ?? []).entries()) {
    const last = trailers === undefined && at === (data?.length ?? 0) - 1
    client.send(FRAME.data, last ? END_STREAM : 0, 1, Buffer.from(piece, 'latin1'))
  }
  if (trailers !== undefined) client.send(FRAME.headers, END_HEADERS | END_STREAM, 1, block(trailers))
  const over = (): boolean =>
    client.endOf(1) || client.resetOf(1) !== undefined || client.goneWith !== undefined || client.closed
  for (const end = performance.now() + ANSWERED_MS; !over() && performance.now() < end; ) await sleep(1)
  if (!over()) throw new Error(`${name}: not answered within ${ANSWERED_MS} ms`)
  const heard = client.text(1)
  const wasRefused = !client.endOf(1) || /^\{"type":"urn:shadow:/.test(heard)
  return wasRefused ? undefined : heard
}
