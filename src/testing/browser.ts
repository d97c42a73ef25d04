import { request } from 'node:http'
import { type RequestOptions, request as requestByTls } from 'node:https'
import { text } from 'node:stream/consumers'
import type { TestMaster } from './masters.ts'

export type Seen = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON. */
  readonly body: Record<string, unknown> & { readonly facts?: Record<string, unknown> }
}

/** What a browser at a page of `origin` sends by itself. */
export type From = 'own page' | 'typed' | 'sibling' | 'foreign' | 'old browser' | 'program'

/** A browser as far as the master sees it: cookies, and the headers that no page can set. */
export class Browser {
  readonly cookies = new Map<string, string>()
  readonly setCookies: string[] = []
  readonly #port: number
  readonly #host: string
  readonly #tls: RequestOptions | undefined

  /** `tls`: how to reach a master of a cluster. */
  constructor({ master }: Pick<TestMaster, 'master'>, host = `127.0.0.1:${master.port}`, tls?: RequestOptions) {
    this.#port = master.port
    this.#host = host
    this.#tls = tls
  }

  /** Sends a request with the cookies that it has, and keeps those of the answer. */
  async send(
    method: string,
    path: string,
    { body, from = 'own page', headers }: { body?: unknown; from?: From; headers?: Record<string, string> } = {},
  ): Promise<Seen> {
    const answer = await this.open(method, path, { body, from, headers })
    const said = await text(answer.body)
    return { ...answer, text: said, body: /^\s*[{[]/.test(said) ? JSON.parse(said) : {} }
  }

  /** As `send`, with the body of the answer as it comes. */
  open(
    method: string,
    path: string,
    {
      body,
      from = 'own page',
      headers,
    }: { body?: unknown; from?: From; headers?: Record<string, string> | undefined } = {},
  ) {
    const sent = body === undefined ? undefined : JSON.stringify(body)
    const cookie = [...this.cookies].map(pair => pair.join('=')).join('; ')
    const { promise, resolve, reject } = Promise.withResolvers<
      Pick<Seen, 'status' | 'headers'> & { body: AsyncIterable<Buffer> & NodeJS.ReadableStream }
    >()
    const outgoing = (this.#tls === undefined ? request : requestByTls)({
      ...this.#tls,
      host: '127.0.0.1',
      port: this.#port,
      method,
      path,
      agent: false,
      headers: {
        host: this.#host,
        ...(cookie !== '' && { cookie }),
        ...(sent !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }),
        ...this.#headersFrom(from, method),
        ...headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', response => {
      for (const line of response.headers['set-cookie'] ?? []) this.#keep(line)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response })
    })
    outgoing.end(sent)
    return promise
  }

  /** The headers by which a master tells where a request comes from. */
  #headersFrom(from: From, method: string): Record<string, string> {
    const host = this.#host
    const own = `${this.#tls === undefined ? 'http' : 'https'}://${host}`
    if (from === 'own page') return { 'sec-fetch-site': 'same-origin', ...(method !== 'GET' && { origin: own }) }
    if (from === 'typed') return { 'sec-fetch-site': 'none' }
    if (from === 'sibling') return { 'sec-fetch-site': 'same-site', origin: `http://app.${host}` }
    if (from === 'foreign') return { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    return from === 'old browser' && method !== 'GET' ? { origin: own } : {}
  }

  #keep(line: string): void {
    this.setCookies.push(line)
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (/Max-Age=0/.test(line)) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }
}
