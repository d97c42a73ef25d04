import { connect, type Server } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { resetConnection } from '../lib/http/node-internals/sockets.ts'
import { type ClientTls, type Credential, Credentials, optionsOf } from '../lib/tls/credentials.ts'
import { authorityCertificate, certificateRequest, newPrivateKey, signCertificate } from '../lib/tls/x509.ts'
import { fastForwarding } from './fast-forwarding.ts'
import { type Opened, open } from './wire.ts'

const DAY_MS = 86_400_000

/** A CA of a test, which signs certificates for names; from yesterday until tomorrow unless the test says otherwise. */
export async function anAuthority(now = Date.now()) {
  const key = newPrivateKey()
  const from = now - DAY_MS
  const ca = await authorityCertificate({ name: 'test CA', key, from, until: now + 30 * DAY_MS })
  return {
    ca,
    async credential(host: string, times: { from?: number; until?: number } = {}): Promise<Credential> {
      const own = newPrivateKey()
      const request = await certificateRequest(own)
      const signed = { request, name: 'test', hosts: [host], isServer: true, from, until: now + DAY_MS, ...times }
      return { ca, key: own, certificate: await signCertificate({ certificate: ca, key }, signed) }
    },
  }
}

const authority = await anAuthority()
const SERVER_HOST = 'server.test'
const server = await authority.credential(SERVER_HOST)
const tls: ClientTls = {
  servername: SERVER_HOST,
  credentials: new Credentials(await authority.credential('client.test')),
}

/** Puts TLS in front of an upstream that speaks in clear: it passes bytes on, and the end and the loss of either side. */
function terminated({ address }: { readonly address: string }): Promise<Opened> {
  const port = Number(address.split(':').at(-1))
  const secured = createServer(
    { ...optionsOf(server), requestCert: true, rejectUnauthorized: true, allowHalfOpen: true, noDelay: true } as object,
    (client: TLSSocket) => {
      const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
      client.allowHalfOpen = true
      client.pipe(upstream)
      upstream.pipe(client)
      client.on('error', () => undefined).on('close', () => upstream.destroy())
      upstream.on('error', () => resetConnection(client)).on('close', () => client.destroySoon())
    },
  )
  return open(secured as Server)
}

/** A forwarder to an upstream that is reached by mutual TLS. */
export const tlsForwarding: ReturnType<typeof fastForwarding> = async (upstream, hop, options) => {
  const between = await terminated(upstream)
  const forwarder = await fastForwarding()(between, { tls, ...hop }, options)
  return {
    ...forwarder,
    async [Symbol.asyncDispose]() {
      await forwarder[Symbol.asyncDispose]()
      await between[Symbol.asyncDispose]()
    },
  }
}
