import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Notice } from '../model/notice.ts'

/** Whether the request was signed with the secret, as docs/notices.md has it. */
export function isSigned(headers: IncomingMessage['headers'], body: string, secret: string): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': shown } = headers
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const right = Buffer.from(`v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}`)
  const given = Buffer.from(String(shown))
  return given.length === right.length && timingSafeEqual(given, right)
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void
export const withStatus =
  (status: number, headers = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, headers).end('said')

/** A receiver of notices. The next answers are taken from `answers`, then all are 204. */
export async function webhookReceiver() {
  const got: { notice: Notice; body: string; headers: IncomingMessage['headers']; path: string | undefined }[] = []
  const answers: Answer[] = []
  const waiting: (() => void)[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    got.push({ notice: JSON.parse(body), body, headers: request.headers, path: request.url })
    const answer = answers.shift() ?? withStatus(204)
    answer(request, response)
    for (const arrived of waiting.splice(0)) arrived()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    got,
    answers,
    /** Resolves when so many requests have come. */
    async came(count: number): Promise<void> {
      while (got.length < count) await new Promise<void>(resolve => waiting.push(resolve))
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
