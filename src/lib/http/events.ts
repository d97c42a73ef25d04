import type { IncomingMessage, ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'

/** Writes server-sent events (WHATWG HTML, 9.2) with a comment as heartbeat, so that a dead reader or writer is found. */
export function openEvents(response: ServerResponse, heartbeatMs: number): (event: unknown) => void {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.write(': hello\n\n')
  const beat = setInterval(() => response.write(': beat\n\n'), heartbeatMs)
  beat.unref()
  response.on('close', () => clearInterval(beat))
  return event => void response.write(`data: ${JSON.stringify(event)}\n\n`)
}

/** Reads server-sent events as parsed JSON; `onBeat` is called for every line, heartbeats included. */
export async function* readEvents(body: IncomingMessage, onBeat?: () => void): AsyncGenerator<unknown> {
  for await (const line of readLines(body)) {
    onBeat?.()
    if (line.startsWith('data: ')) yield JSON.parse(line.slice(6))
  }
}

/** Reads a body line by line. */
export function readLines(body: IncomingMessage): AsyncIterable<string> {
  return createInterface({ input: body, crlfDelay: Number.POSITIVE_INFINITY })
}
