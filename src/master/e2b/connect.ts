import type { IncomingMessage, ServerResponse } from 'node:http'
import { drained } from '../../lib/drained.ts'
import { readJson } from '../../lib/http/api/request-handler.ts'
import type { Log } from '../../lib/log.ts'
import { fault, rpcError, statusOfRpc } from './faults.ts'

/**
 * The Connect protocol with JSON, as E2B's clients speak it: https://connectrpc.com/docs/protocol. A unary call is a usual request. In
 * streams each message has a head of five bytes: flags, and its length. The last one of an answer tells how the call ended.
 */
const HEAD_BYTES = 5
const COMPRESSED = 1
const END = 2
const STREAM_TYPE = 'application/connect+json'
const MOST_MESSAGE_BYTES = 4 * 2 ** 20

/** A message of a stream with its head. @internal */
export function envelope(message: unknown, flags = 0): Buffer {
  const json = Buffer.from(JSON.stringify(message))
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(flags)
  head.writeUInt32BE(json.length, 1)
  return Buffer.concat([head, json])
}

/** The messages of a stream of a client. Fails with `invalid_argument` for bytes that are none, and `resource_exhausted` for too many of them. */
export async function* messages(body: AsyncIterable<Buffer>, most = MOST_MESSAGE_BYTES): AsyncGenerator<unknown> {
  let parts: Buffer[] = []
  let have = 0
  const take = (bytes: number): Buffer => {
    const all = Buffer.concat(parts)
    parts = [all.subarray(bytes)]
    have -= bytes
    return all.subarray(0, bytes)
  }
  let head: Buffer | undefined
  for await (const chunk of body) {
    parts.push(chunk)
    have += chunk.length
    for (;;) {
      if (head === undefined) {
        if (have < HEAD_BYTES) break
        head = take(HEAD_BYTES)
        if ((head[0] as number) & COMPRESSED) throw fault('unimplemented', 'a compressed message is not taken')
        const length = head.readUInt32BE(1)
        if (length > most)
          throw fault('resource_exhausted', `a message of ${length} bytes is not taken; at most ${most} are`)
      }
      const length = head.readUInt32BE(1)
      if (have < length) break
      const isEnd = ((head[0] as number) & END) !== 0
      const bytes = take(length)
      head = undefined
      if (isEnd) return
      yield parse(bytes)
    }
  }
  if (head !== undefined || have > 0) throw fault('invalid_argument', 'the stream ends in the middle of a message')
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw fault('invalid_argument', `a message is no JSON: ${(cause as Error).message}`)
  }
}

export type Rpc = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
  /** After so long the client waits for no more, in ms; undefined: it waits. */
  readonly timeoutMs: number | undefined
  /** So often a stream without other messages gets one that keeps it alive. */
  readonly pingEveryMs: number
}

const PING_EVERY_MS = 90_000
const LEAST_PING_MS = 1_000

export function rpcOf(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Rpc {
  const timeout = Number(request.headers['connect-timeout-ms'])
  const ping = Number(request.headers['keepalive-ping-interval']) * 1_000
  return {
    ...{ request, response, signal },
    timeoutMs: Number.isFinite(timeout) && timeout > 0 ? timeout : undefined,
    pingEveryMs: Number.isFinite(ping) && ping > 0 ? Math.max(ping, LEAST_PING_MS) : PING_EVERY_MS,
  }
}

/** Serves a unary call. */
export async function unary({ request, response, signal }: Rpc, answer: (input: unknown) => Promise<object>) {
  try {
    const value = await answer((await readJson(request, MOST_MESSAGE_BYTES)) ?? {})
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  } catch (thrown) {
    if (signal.aborted) return
    const error = rpcError(thrown)
    response.writeHead(statusOfRpc(error.code), { 'content-type': 'application/json' })
    response.end(JSON.stringify(error))
    if (error.code === 'internal') throw thrown
  }
}

/** The answer of a stream: `send` resolves when more may be sent. */
export type Outgoing = { send(message: object): Promise<void> }

/** Serves a call whose answer is a stream. It ends when `serve` does; an error is told in its last message. */
export async function streamed(rpc: Rpc, log: Log, serve: (out: Outgoing) => Promise<void>): Promise<void> {
  const { response, signal } = rpc
  const begin = (): void => {
    if (response.headersSent) return
    response.writeHead(200, { 'content-type': STREAM_TYPE, 'cache-control': 'no-store' })
    response.flushHeaders()
  }
  const send = async (message: object): Promise<void> => {
    if (signal.aborted) return
    begin()
    if (!response.write(envelope(message))) await drained(response)
  }
  let trailer: object = {}
  try {
    await serve({ send })
  } catch (thrown) {
    if (signal.aborted) return
    const error = rpcError(thrown)
    if (error.code === 'internal') log.error('a call of the E2B API failed', { cause: thrown })
    trailer = { error }
  }
  if (signal.aborted) return
  begin()
  response.end(envelope(trailer, END))
}
