import { type IncomingHttpHeaders, request } from 'node:http'
import { text } from 'node:stream/consumers'

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }
type Sent = { readonly headers?: Record<string, string>; readonly body?: string }

const ANSWER_WITHIN_MS = 120_000

/** A visitor of one host at a front, who keeps cookies. Each request is made on a new connection. */
export class Browser {
  readonly #front: URL
  readonly #host: string
  readonly #cookies = new Map<string, string>()

  constructor(front: string, host: string) {
    this.#front = new URL(front)
    this.#host = host
  }

  cookie(name: string): string {
    return this.#cookies.get(name) ?? ''
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path)
  }

  /** Sends the fields of an HTML form. */
  form(path: string, fields: Record<string, string>): Promise<Answer> {
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      referer: `http://${this.#host}${path}`,
      origin: `http://${this.#host}`,
    }
    return this.send('POST', path, { headers, body: new URLSearchParams(fields).toString() })
  }

  json(path: string, value: unknown): Promise<Answer> {
    return this.send('POST', path, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })
  }

  /** Sends a request; fails unless it is answered with a status below 400. */
  async send(method: string, path: string, { headers = {}, body = '' }: Sent = {}): Promise<Answer> {
    const answer = await this.ask(method, path, { headers, body })
    if (answer.status >= 400)
      throw new Error(`${method} ${this.#host}${path}: ${answer.status} ${answer.body.slice(0, 500)}`)
    return answer
  }

  /** Sends a request, whatever its answer is. */
  async ask(method: string, path: string, { headers = {}, body = '' }: Sent = {}): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const sent = request({
      hostname: this.#front.hostname,
      port: this.#front.port,
      method,
      path,
      agent: false,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      headers: {
        ...headers,
        host: this.#host,
        'content-length': Buffer.byteLength(body),
        ...(cookie !== '' && { cookie }),
      },
    })
    sent.on('error', reject).on('response', answer => {
      for (const line of answer.headers['set-cookie'] ?? []) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        this.#cookies.set(name, value)
      }
      text(answer).then(body => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }), reject)
    })
    sent.end(body)
    return promise
  }
}
