import type { IncomingMessage } from 'node:http'
import type { StreamedResponse } from '../exchange.ts'

/** Opens a stream of server-sent events (WHATWG HTML, 9.2). A comment every `heartbeatMs` lets each side notice that the other is gone. */
export function openEvents(response: StreamedResponse, heartbeatMs: number): (event: unknown) => void {
  const send = openEventTexts(response, heartbeatMs)
  return event => send(JSON.stringify(event))
}

/** The same for events that are JSON already: one that many readers get is made into JSON once. */
export function openEventTexts(response: StreamedResponse, heartbeatMs: number): (json: string) => void {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.write(': hello\n\n')
  const write = (text: string): void => {
    if (!response.writableEnded) response.write(text)
  }
  const beat = setInterval(() => write(': beat\n\n'), heartbeatMs)
  beat.unref()
  response.on('close', () => clearInterval(beat))
  return json => write(`data: ${json}\n\n`)
}

/** Reads server-sent events as parsed JSON. `onLine` is called for every line, comments such as heartbeats included. */
export async function* readEvents(body: IncomingMessage, onLine?: (line: string) => void): AsyncGenerator<unknown> {
  for await (const line of readLines(body)) {
    onLine?.(line)
    if (line.startsWith('data: ')) yield JSON.parse(line.slice(6))
  }
}

/**
 * Reads a body line by line. A caller that stops early ends the connection. (node:readline would throw the error of such a body where nobody can
 * catch it.)
 */
export async function* readLines(body: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of body.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line
  }
  if (rest !== '') yield rest
}
