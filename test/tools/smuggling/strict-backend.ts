import { createServer, type Server, type Socket } from 'node:net'

const REQUEST_LINE = /^([A-Z]+) (\/[\x21-\x7e\x80-\xff]*|\*) HTTP\/1\.1$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/
const HOP_BY_HOP = /^(keep-alive|proxy-connection|http2-settings|proxy-authorization)$/

/**
 * A back end that accepts only requests that all parsers read alike: no chunk extensions, no second framing header, no byte between lines.
 * It calls `saw` with `METHOD target` of each request, and with `MALFORMED why` where it stops reading.
 */
export function strictBackend(saw: (line: string) => void): Server {
  return createServer({ noDelay: true }, socket => {
    socket.on('error', () => {}) // cut by the front
    serve(socket, saw).catch((fault: unknown) => {
      if (fault instanceof Fault) saw(`MALFORMED ${fault.message}`)
      socket.destroy()
    })
  })
}

class Fault extends Error {}
class Ended extends Error {}

async function serve(socket: Socket, saw: (line: string) => void): Promise<void> {
  const input = new Input(socket)
  for (;;) {
    const line = await input.line()
    const [, method, target] = REQUEST_LINE.exec(line) ?? []
    if (method === undefined || target === undefined) throw new Fault(`the request line ${JSON.stringify(line)}`)
    saw(`${method} ${target}`)
    const fields = await readFields(input)
    const { length, chunked, expects } = framing(fields)
    if (expects) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    if (chunked) await readChunks(input)
    else await input.bytes(length)
    socket.write(
      `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${method === 'HEAD' ? '' : target}`,
      'latin1',
    )
    if (/\bclose\b/i.test(fields.get('connection')?.[0] ?? '')) return void socket.end()
  }
}

async function readFields(input: Input): Promise<Map<string, string[]>> {
  const fields = new Map<string, string[]>()
  for (let line = await input.line(); line !== ''; line = await input.line()) {
    const [, name, value = ''] = FIELD.exec(line) ?? []
    if (name === undefined) throw new Fault(`the header line ${JSON.stringify(line)}`)
    const key = name.toLowerCase()
    fields.set(key, [...(fields.get(key) ?? []), value.trim()])
  }
  return fields
}

function framing(fields: Map<string, string[]>): { length: number; chunked: boolean; expects: boolean } {
  const lengths = fields.get('content-length') ?? []
  const codings = fields.get('transfer-encoding') ?? []
  if (fields.get('host')?.length !== 1) throw new Fault(`${fields.get('host')?.length ?? 0} Hosts`)
  if (lengths.length + codings.length > 1) throw new Fault(`framed by ${JSON.stringify([lengths, codings])}`)
  if (lengths.some(value => !/^\d{1,15}$/.test(value))) throw new Fault(`the length ${lengths[0]}`)
  if (codings.some(value => value !== 'chunked')) throw new Fault(`the coding ${codings[0]}`)
  const named = (fields.get('connection') ?? []).flatMap(value => value.toLowerCase().split(/[ ,\t]+/))
  const strange = named.find(name => !['close', 'keep-alive', 'upgrade', ''].includes(name))
  if (strange !== undefined) throw new Fault(`Connection names ${strange}`)
  for (const name of fields.keys()) if (HOP_BY_HOP.test(name)) throw new Fault(`the hop-by-hop header ${name}`)
  return { length: Number(lengths[0] ?? 0), chunked: codings.length > 0, expects: fields.has('expect') }
}

async function readChunks(input: Input): Promise<void> {
  for (;;) {
    const line = await input.line()
    if (!/^[0-9a-f]{1,13}$/i.test(line)) throw new Fault(`the chunk size ${JSON.stringify(line)}`)
    const size = Number.parseInt(line, 16)
    if (size === 0) break
    await input.bytes(size)
    const end = await input.bytes(2)
    if (end !== '\r\n') throw new Fault(`${JSON.stringify(end)} after a chunk`)
  }
  const trailers = await readFields(input)
  for (const name of ['content-length', 'transfer-encoding', 'host', 'connection'])
    if (trailers.has(name)) throw new Fault(`the trailer ${name}`)
}

/** The bytes of a socket, read by line or by count. */
class Input {
  #text = ''
  readonly #chunks: AsyncIterator<string>

  constructor(socket: Socket) {
    this.#chunks = socket.setEncoding('latin1')[Symbol.asyncIterator]()
  }

  /** The bytes up to the next CR LF; a CR or LF alone is a fault. */
  async line(): Promise<string> {
    while (!this.#text.includes('\n')) await this.#more()
    const end = this.#text.indexOf('\n')
    const line = this.#text.slice(0, end)
    this.#text = this.#text.slice(end + 1)
    if (!line.endsWith('\r') || line.indexOf('\r') !== line.length - 1)
      throw new Fault(`the end of ${JSON.stringify(line)}`)
    return line.slice(0, -1)
  }

  async bytes(count: number): Promise<string> {
    while (this.#text.length < count) await this.#more()
    const bytes = this.#text.slice(0, count)
    this.#text = this.#text.slice(count)
    return bytes
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#chunks.next()
    if (done) throw new Ended()
    this.#text += value
  }
}
