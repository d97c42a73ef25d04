import type { IncomingMessage, InformationEvent, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Hop, Refusal, UpstreamError } from '../upstream-target.ts'
import { endToEnd, trailersToSend } from './headers.ts'
import { answerHeaders, strips } from './heads.ts'

type Passing = { readonly hop: Hop; readonly signal: AbortSignal }

/** Passes the upstream's answer on to the client, to the last byte; an answer cut short there is cut short here too. */
export function passOn(answer: IncomingMessage, response: ServerResponse, { hop, signal }: Passing): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (outcome: () => void): void => {
      signal.removeEventListener('abort', leave)
      outcome()
    }
    const cut = (reason: unknown): void => {
      end(() => reject(reason))
      answer.destroy()
      if (response.headersSent) cutShort(response)
    }
    const leave = (): void => cut(signal.reason)
    const died = (cause: unknown): void =>
      cut(new UpstreamError('body', true, `${hop.address} closed the connection in the middle of its answer`, cause))

    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    try {
      response.writeHead(answer.statusCode ?? 0, answer.statusMessage ?? '', answerHeaders(answer, hop))
    } catch (cause) {
      return cut(UpstreamError.refused(hop.address, 'head', `a status, reason or header that is none: ${cause}`, cause))
    }
    // Head and body in one packet where both are there; a head alone must not wait for its body.
    // (`flushHeaders` would write it as UTF-8, whatever the bytes of the app are; an empty write keeps to Latin-1.)
    setImmediate(() => response.writableEnded || response.destroyed || response.write(NOTHING))
    response.on('drain', () => answer.resume()).on('finish', () => end(resolve))
    answer
      .on('data', (chunk: Buffer) => {
        if (!response.write(chunk)) answer.pause()
      })
      .on('end', () => {
        if (!answer.complete) return
        const trailers = trailersToSend(answer.rawTrailers, strips(hop))
        if (trailers.length > 0 && response.chunkedEncoding) response.addTrailers(trailers)
        response.end()
      })
      .on('error', died)
      .on('close', () => answer.complete || died(undefined))
  })
}

const NOTHING = Buffer.alloc(0)

/** Ends the connection so that what was sent does not look whole. Without framing only a reset tells. */
function cutShort(response: ServerResponse): void {
  const { socket, req } = response
  if (socket !== null && req.httpVersion === '1.0' && 'encrypted' in socket === false) socket.resetAndDestroy()
  else response.destroy()
}

/** Passes an interim answer on, such as 103 Early Hints; a client of HTTP/1.0 does not know them. */
export function passOnHint(hint: InformationEvent, response: ServerResponse, hop: Hop): void {
  if (hint.statusCode === 100 || hint.statusCode === 101 || response.req.httpVersion !== '1.1') return
  if (response.headersSent) return
  // null while an earlier, pipelined request has the connection: hints may be left out.
  response.socket?.write(head(hint.statusCode, hint.statusMessage, endToEnd(hint.rawHeaders, strips(hop))), 'latin1')
}

/** Tells the client of the switch of protocols; gives its socket, no longer the response's. */
export function switchOver(answer: IncomingMessage, response: ServerResponse, hop: Hop): Socket {
  const { socket } = response.req
  response.detachSocket(socket)
  // Nothing of it is to come, and what listens holds much.
  response.removeAllListeners()
  socket.removeAllListeners('end')
  const headers = [...answerHeaders(answer, hop), 'Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? '']
  socket.write(head(101, answer.statusMessage ?? '', headers), 'latin1')
  return socket
}

function head(status: number, reason: string, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`
  return `${text}\r\n`
}

const MOST_OF_A_REFUSAL = 65_536

/** Reads an answer that the hop takes as a refusal. */
export async function refusalOf(answer: IncomingMessage, sent: boolean, signal: AbortSignal): Promise<Refusal> {
  const stop = (): void => void answer.destroy()
  signal.addEventListener('abort', stop, { once: true })
  let body = ''
  try {
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      body += chunk
      if (body.length > MOST_OF_A_REFUSAL) break
    }
  } catch {
    // A refusal without the whole of its words is a refusal still.
  } finally {
    signal.removeEventListener('abort', stop)
  }
  return new Refusal({ status: answer.statusCode ?? 0, headers: answer.headers, body, sent })
}
