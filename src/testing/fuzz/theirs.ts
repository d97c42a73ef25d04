import { METHODS } from 'node:http'
import { createRequire } from 'node:module'
import type { Message, Reading } from './message.ts'

type Parser = {
  initialize(type: number, resource: object, maxHeaderSize: number, lenient: number): void
  execute(bytes: Buffer): number | Error
  finish(): Error | undefined
  close(): void
} & Record<number, unknown>

type Kinds = 'REQUEST' | 'RESPONSE' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete'
const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: { new (): Parser } & Record<Kinds, number>
  methods: readonly string[] | undefined
}
// The parser numbers methods in the order of llhttp; node:http's public list is sorted.
const NAMES: readonly string[] = methods ?? METHODS
const MOST_HEAD_BYTES = 1_048_576

/** What node:http's parser, without any leniency, reads from bytes that arrive in these pieces. */
export function theirs(
  pieces: readonly Buffer[],
  kind: 'request' | 'response',
  heads: readonly boolean[] = [],
): Reading {
  const parser = new HTTPParser()
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, MOST_HEAD_BYTES, 0)
  const messages: Message[] = []
  let early: string[] = []
  let url = ''
  let answered = 0
  let upgraded = false
  parser[HTTPParser.kOnHeaders] = (headers: string[], more: string) => {
    early.push(...headers)
    url += more
  }
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    headers: string[] | undefined,
    method: number,
    target: string | undefined,
    status: number,
    _reason: string,
    upgrade: boolean,
  ) => {
    const start = kind === 'request' ? (NAMES[method] ?? '?') : String(status)
    messages.push({ start, target: target ?? url, headers: headers ?? early, body: '', whole: false })
    early = []
    url = ''
    upgraded = upgrade && kind === 'request'
    if (kind === 'request' || status < 200) return 0
    return heads[answered++] === true ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (body: Buffer) => {
    const last = messages.at(-1)
    if (last !== undefined) last.body += body.toString('latin1')
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    const last = messages.at(-1)
    if (last !== undefined) last.whole = true
    early = []
    url = ''
  }
  let stopped: string | undefined
  for (const piece of pieces) {
    const result = parser.execute(piece)
    if (result instanceof Error) stopped = (result as Error & { code?: string }).code ?? String(result)
    else if (upgraded) stopped = 'upgrade'
    if (stopped !== undefined) break
  }
  parser.close()
  return { messages, stopped }
}
