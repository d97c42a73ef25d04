import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AuthContext, Connection, PublicKeyAuthContext } from 'ssh2'
import { ClientSession } from '../../api/exec-client.ts'
import type { Clock } from '../../lib/clock.ts'
import { systemCode } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import { bind, type Listening } from '../../lib/http/listening.ts'
import { networkOf, plainAddress } from '../../lib/ip.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { ListenAddress } from '../../lib/settings.ts'
import { type AppName, faultOfLabel } from '../../model/names.ts'
import type { Storage } from '../storage/storage.ts'
import { serveChannels } from './channels.ts'
import { hostKey } from './host-key.ts'
import type { SshKey, SshKeys } from './keys.ts'
import { fingerprintOf } from './public-key.ts'

type Options = {
  readonly listen: ListenAddress
  readonly storage: Storage
  readonly seals: Seals
  readonly keys: SshKeys
  /** Opens a session in an app: its frames are `content` and the body of the answer. */
  readonly open: (app: AppName, by: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<Answer>
  readonly data: string
  readonly clock: Clock
  readonly log: Log
}

// The usual names of RFC 9142 and of OpenSSH; nothing with SHA-1, CBC or finite fields below 4,096 bits.
const ALGORITHMS = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'diffie-hellman-group16-sha512',
  ],
  serverHostKey: ['ssh-ed25519'],
  cipher: [
    'aes256-gcm@openssh.com',
    'aes128-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes256-ctr',
    'aes128-ctr',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256'],
  compress: ['none'],
} as const

const AUTHENTICATES_WITHIN_MS = 30_000
const MOST_TRIES = 6
const MOST_CONNECTIONS = 256
const MOST_UNKNOWN = 64
const MOST_UNKNOWN_OF_CLIENT = 8
/** Connections of one client that were cut after too many wrong keys, within a minute; then it gets no other in that minute. */
const MOST_FAILURES = 10
const FAILURES_COUNT_FOR_MS = 60_000
const KEY_CHECKED_EVERY_MS = 30_000
const KEEPALIVE_EVERY_MS = 15_000
const IPV6_BITS = 64

/** An SSH server that listens; `hostKey` is its public key as a line of known_hosts has it: `ssh-ed25519 AAAA…`. */
export type SshServer = Listening & { readonly hostKey: string }

/** Serves SSH: the user is the name of an app, and its key opens the app's container. Disposing of it cuts all connections. */
export async function openSsh(options: Options): Promise<SshServer> {
  const { listen, storage, seals, keys, open, data, clock, log } = options
  const { default: ssh2 } = await import('ssh2')
  const { key } = await hostKey({ storage, seals }, () => {
    const made = ssh2.utils.generateKeyPairSync('ed25519', {})
    const parsed = ssh2.utils.parseKey(made.private)
    if (parsed instanceof Error) throw parsed
    return { key: made.private, fingerprint: fingerprintOf({ bytes: parsed.getPublicSSH() }) }
  })
  const publicLine = (privateKey: string): string => {
    const parsed = ssh2.utils.parseKey(privateKey)
    if (parsed instanceof Error) throw parsed
    return `${parsed.type} ${parsed.getPublicSSH().toString('base64')}`
  }
  const spool = join(data, 'ssh')
  await rm(spool, { recursive: true, force: true }) // what a crash has left
  await mkdir(spool, { recursive: true, mode: 0o700 })
  const connections = new Set<Connection>()
  /** Connections that have not shown a key yet, with their clients. */
  const unknown = new Map<Connection, string>()
  const failures = new Map<string, number>()

  const server = new ssh2.Server(
    {
      hostKeys: [key],
      ident: 'shadow',
      algorithms: ALGORITHMS as unknown as NonNullable<ConstructorParameters<typeof ssh2.Server>[0]['algorithms']>,
      keepaliveInterval: KEEPALIVE_EVERY_MS,
      keepaliveCountMax: 3,
    },
    (connection, { ip }) => {
      const client = clientOf(ip)
      connection.on('error', error => log.debug('ssh connection failed', { client: ip, code: systemCode(error) }))
      const isFull = connections.size >= MOST_CONNECTIONS || unknown.size >= MOST_UNKNOWN
      const ofClient = [...unknown.values()].filter(one => one === client).length
      if (isFull || ofClient >= MOST_UNKNOWN_OF_CLIENT || (failures.get(client) ?? 0) >= MOST_FAILURES)
        return void connection.end()
      connections.add(connection)
      unknown.set(connection, client)
      const late = clock.after(AUTHENTICATES_WITHIN_MS, () => connection.end())
      const ended = new AbortController()
      connection.on('close', () => {
        ended.abort()
        late[Symbol.dispose]()
        connections.delete(connection)
        unknown.delete(connection)
      })
      let tries = 0
      let user: { app: AppName; key: SshKey; bytes: Buffer } | undefined
      connection.on('authentication', context => {
        if (context.method === 'none') return context.reject(['publickey'])
        authenticate(context).then(
          found => {
            if (found === undefined) {
              if (++tries >= MOST_TRIES) {
                count(client)
                return void connection.end()
              }
              return context.reject(['publickey'])
            }
            user = found
            context.accept()
          },
          cause => {
            log.warn('ssh key not looked up', { cause })
            context.reject(['publickey'])
          },
        )
      })
      connection.on('ready', () => {
        if (user === undefined) return void connection.end()
        const { app, key, bytes } = user
        late[Symbol.dispose]()
        unknown.delete(connection)
        log.info('ssh connection', { app, key: key.name, client: ip })
        watchKey(connection, bytes, app, ended.signal)
        const opened = (start: Parameters<typeof ClientSession.open>[0]['start'], signal: AbortSignal) =>
          ClientSession.open({
            start,
            open: (content, until) => open(app, `ssh key ${key.name}`, content, until),
            clock,
            signal: AbortSignal.any([signal, ended.signal]),
          })
        serveChannels(connection, { app, open: opened, spool })
      })
    },
  )

  /** Whose key the client has shown and, in the second step, proven to have; undefined if it may not come in. */
  async function authenticate(context: AuthContext) {
    if (context.method !== 'publickey' || faultOfLabel(context.username) !== undefined) return undefined
    const shown = context as PublicKeyAuthContext
    const found = await keys.find(shown.key.data)
    const app = context.username as AppName
    if (found === undefined || (found.apps !== null && !found.apps.includes(app))) return undefined
    if (shown.signature !== undefined && !isProven(shown)) return undefined
    return { app, key: found, bytes: Buffer.from(shown.key.data) }
  }

  function isProven({ key: { algo, data }, blob, signature, hashAlgo }: PublicKeyAuthContext): boolean {
    // Without a hash the signature of an RSA key is by SHA-1.
    if (algo === 'ssh-rsa' && (hashAlgo === undefined || hashAlgo === 'sha1')) return false
    const parsed = ssh2.utils.parseKey(`${algo.startsWith('rsa-sha2') ? 'ssh-rsa' : algo} ${data.toString('base64')}`)
    if (parsed instanceof Error || blob === undefined || signature === undefined) return false
    return parsed.verify(blob, signature, hashAlgo) === true
  }

  function count(client: string): void {
    failures.set(client, (failures.get(client) ?? 0) + 1)
    clock.after(FAILURES_COUNT_FOR_MS, () => {
      const left = (failures.get(client) ?? 0) - 1
      if (left > 0) failures.set(client, left)
      else failures.delete(client)
    })
  }

  /** Ends the connection soon after its key was removed, or no longer opens the app. */
  function watchKey(connection: Connection, bytes: Buffer, app: AppName, ended: AbortSignal): void {
    clock.after(KEY_CHECKED_EVERY_MS, async () => {
      if (ended.aborted) return
      // Without the store nobody knows: the connection goes on until the store is back.
      const isGood = await keys.find(bytes).then(
        found => found !== undefined && (found.apps === null || found.apps.includes(app)),
        () => true,
      )
      if (isGood) watchKey(connection, bytes, app, ended)
      else connection.end()
    })
  }

  const bound = await bind(server as unknown as Parameters<typeof bind>[0], listen)
  log.info('ssh listens', { address: bound.address })
  return {
    ...bound,
    hostKey: publicLine(key),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const connection of connections) connection.end()
      await closed
    },
  }
}

/** An IPv4 address, or the /64 of an IPv6 address, which is what one client has. */
function clientOf(ip: string): string {
  const address = plainAddress(ip)
  return address.includes(':') ? networkOf(address, IPV6_BITS) : address
}
