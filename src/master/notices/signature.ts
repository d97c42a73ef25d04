import { createHmac, randomBytes } from 'node:crypto'

const PREFIX = 'whsec_'
const SECRET_BYTES = 32

/** A new secret, in the form of Standard Webhooks. */
export const newWebhookSecret = (): string => `${PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`

type Signed = { readonly id: string; readonly atMs: number; readonly body: string; readonly secret: string }

/** The headers of Standard Webhooks: the HMAC-SHA256 is of `id.seconds.body`. */
export function signedHeaders({ id, atMs, body, secret }: Signed): Readonly<Record<string, string>> {
  const seconds = String(Math.floor(atMs / 1_000))
  const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': `v1,${mac}` }
}
