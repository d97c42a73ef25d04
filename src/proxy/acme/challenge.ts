import type { Exchange } from '../../lib/http/exchange.ts'

const FOLDER = '/.well-known/acme-challenge/'

/** The token of the challenge that is asked for (RFC 8555, 8.3), which comes by plain HTTP; undefined: it is another request. */
export function challengeToken({ method, target, secure }: Exchange): string | undefined {
  return !secure && method === 'GET' && target.startsWith(FOLDER) ? target.slice(FOLDER.length) : undefined
}

/** Answers a challenge. */
export function answerChallenge(exchange: Exchange, keyAuthorization: string): void {
  exchange.answer({ status: 200, headers: { 'content-type': 'application/octet-stream' }, body: keyAuthorization })
}
