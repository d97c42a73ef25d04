import { ClientOrigin } from '../../lib/http/downstream/client-origin.ts'
import { composeAnswer, composeRequest, composeTrailers, UNCHANGED } from '../../lib/http/downstream/compose-heads.ts'
import { OutputBuffer } from '../../lib/http/sockets/buffers.ts'
import { BodyFramer } from '../../lib/http/wire/body-framer.ts'
import { HEAD_LIMITS, Head, MORE, WHOLE } from '../../lib/http/wire/head.ts'
import { parseRequest, parseResponse } from '../../lib/http/wire/parse.ts'
import type { Message, Reading } from './message.ts'

const hop = { address: '', forwarded: 'append' } as const
const origin = new ClientOrigin('192.0.2.1', 'http', '1.1')

/** Node refuses such an answer; we remove the white space. */
const SPACED = 'white space before a colon'

type Socket = Parameters<OutputBuffer['send']>[0]

/** What our framer reads from bytes that arrive in these pieces, and the bytes that it would pass on. */
export function ours(
  pieces: readonly Buffer[],
  kind: 'request' | 'response',
  heads: readonly boolean[] = [],
): Reading & { readonly passed: Buffer } {
  const messages: Message[] = []
  const passed: Buffer[] = []
  const to = { writableLength: 0, write: (bytes: Buffer) => passed.push(Buffer.from(bytes)) } as unknown as Socket
  const head = new Head(HEAD_LIMITS)
  const body = new BodyFramer({ ofAnswers: kind === 'response' })
  let input = Buffer.alloc(0)
  let message: Message | undefined
  let stopped: string | undefined
  let answered = 0
  let closes = false

  const finish = (): void => {
    if (message === undefined) return
    message.whole = true
    message = undefined
    if (closes) stopped = 'close'
  }

  /** false: more bytes are needed. */
  const step = (): boolean => {
    if (message !== undefined) {
      const stop = body.take(input, 0, input.length)
      if (body.fault !== undefined) {
        stopped = body.fault
        return false
      }
      if (stop > 0) passed.push(Buffer.from(input.subarray(0, stop)))
      if (kind === 'response' && body.trailers?.hasSpacedNames) {
        stopped = SPACED
        return false
      }
      if (body.trailers !== undefined) {
        composeTrailers(output, body.trailers, hop)
        output.send(to)
      }
      // The content of the chunks, only for the comparison.
      message.body += input.toString('latin1', 0, stop)
      input = input.subarray(body.next)
      if (body.done) finish()
      return body.done || input.length > 0
    }
    if (input.length === 0) return false
    const code =
      kind === 'request' ? parseRequest(head, input, 0, input.length) : parseResponse(head, input, 0, input.length)
    if (code === MORE) return false
    if (code !== WHOLE) {
      stopped = `${code} ${head.fault}`
      return false
    }
    const headers: string[] = []
    for (let slot = 0; slot < head.count; slot += 1) headers.push(head.name(slot), head.value(slot))
    if (kind === 'request' && head.wantsUpgrade) {
      stopped = 'a request to switch'
      return false
    }
    if (kind === 'response' && head.hasSpacedNames) {
      stopped = SPACED
      return false
    }
    if (kind === 'response' && head.status === 101) {
      stopped = 'a switch of protocols'
      return false
    }
    const isHead = kind === 'response' && head.status >= 200 && heads[answered++] === true
    const framing = kind === 'request' ? head.requestFraming : head.responseFraming(isHead ? 'HEAD' : 'GET')
    message = {
      start: kind === 'request' ? head.method : String(head.status),
      target: kind === 'request' ? (head.plainTarget ? head.target : head.text(head.targetStart, head.targetEnd)) : '',
      headers,
      host: head.host,
      body: '',
      whole: false,
    }
    messages.push(message)
    // An HTTP/1.0 answer is the last on its connection, and so is an answer without framing.
    closes = kind === 'request' ? head.closes : head.status >= 200 && (head.closes || head.minor === 0)
    if (kind === 'request') composeRequest(output, head, hop, origin)
    else composeAnswer(output, head, hop, UNCHANGED)
    output.send(to)
    body.start(framing, head.contentLength)
    input = input.subarray(head.length)
    head.reset()
    if (body.done) finish()
    return true
  }

  for (const piece of pieces) {
    if (stopped !== undefined) break
    input = Buffer.concat([input, piece])
    while (stopped === undefined && step());
  }
  for (const each of messages) {
    if (isChunked(each)) each.body = dechunk(each.body)
  }
  return { messages, stopped, withholds: body.inTrailers, passed: Buffer.concat(passed) }
}

const output = new OutputBuffer()

const isChunked = ({ headers }: Message): boolean =>
  headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'transfer-encoding')

/** The content of chunks that are known to be well framed; the last one may be incomplete. */
function dechunk(raw: string): string {
  let body = ''
  for (let at = 0; at < raw.length; ) {
    const line = raw.indexOf('\r\n', at)
    if (line < 0) break
    const size = Number.parseInt(raw.slice(at, line), 16)
    if (size === 0) break
    body += raw.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
  return body
}
