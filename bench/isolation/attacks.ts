import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { type ClientHttp2Session, connect as connectH2, constants } from 'node:http2'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostnameOf } from './tenants.ts'

/** The addresses of the front and the master. */
export type Place = {
  readonly front: number
  readonly tls: number
  readonly master: number
  readonly seconds: number
  readonly only: readonly string[]
}

/** Runs until the signal aborts, whatever it is answered. Calls `did` for each attempt. */
type Attack = (place: Place, signal: AbortSignal, did: () => void) => Promise<void>

const MISBEHAVE_EVERY_MS = 1_500
const FLOODERS = 64
const HANGING_ADDRESSES = 12
const HANGING_CONNECTIONS = 100
const RESETTING_SESSIONS = 40
const STREAMS_AT_ONCE = 100
const STUCK_AFTER_MS = 250
const CLOSED_WITHIN_MS = 250

/** The attacks by name. An app's attack makes the app of that name misbehave again whenever it is awake. */
export const attacks: Readonly<Record<string, Attack>> = {
  'dies: out of memory': misbehaving('dies', '/eat'),
  'exits: in the middle of requests': misbehaving('exits', '/exit'),
  'spins: all processor time': misbehaving('spins', '/spin'),
  'fills: disk and volume': misbehaving('fills', '/fill'),
  'forks: processes': misbehaving('forks', '/fork'),
  'logs: without end': misbehaving('logs', '/log'),
  'scans: gateway, neighbours, metadata': misbehaving('scans', '/scan'),

  'floods: requests as fast as they are answered': async ({ front }, signal, did) => {
    const agent = new Agent({ keepAlive: true, maxSockets: FLOODERS })
    signal.addEventListener('abort', () => agent.destroy())
    await all(FLOODERS, signal, async () => {
      await asked(front, hostnameOf('floods'), '/', { agent })
      did()
    })
  },

  'hangs: requests that are never answered, from several addresses': async ({ front }, signal, did) => {
    await all(HANGING_ADDRESSES * HANGING_CONNECTIONS, signal, async at => {
      const localAddress = `127.0.0.${2 + (at % HANGING_ADDRESSES)}`
      const socket = connect({ host: '127.0.0.1', port: front, localAddress })
      const stop = (): void => void socket.destroy()
      signal.addEventListener('abort', stop)
      socket.on('error', () => undefined).resume()
      socket.write(`GET /never HTTP/1.1\r\nHost: ${hostnameOf('hangs')}\r\n\r\n`)
      did()
      await once(socket, 'close').catch(() => undefined)
      signal.removeEventListener('abort', stop)
      await pause(250, signal)
    })
  },

  'hangs: streams that are never answered, from one address': async ({ tls }, signal, did) => {
    await all(RESETTING_SESSIONS, signal, async () => {
      await inSession(tls, 'hangs', '127.0.0.40', signal, async session => {
        for (let open = 0; open < STREAMS_AT_ONCE && !session.destroyed; open++) {
          streamTo(session, 'hangs', '/never')
          did()
        }
        await pause(5_000, signal)
      })
    })
  },

  'resets: streams opened and reset at once': async ({ tls }, signal, did) => {
    await all(RESETTING_SESSIONS, signal, async () => {
      await inSession(tls, 'resets', '127.0.0.41', signal, async session => {
        let unended = 0
        let movedAt = performance.now()
        // A session that the front slowed down or closed is replaced by a new one: the attack goes on.
        const isStuck = (): boolean => unended >= STREAMS_AT_ONCE && performance.now() - movedAt > STUCK_AFTER_MS
        while (!session.closed && !session.destroyed && !signal.aborted && !isStuck()) {
          // At most as many streams as the session has sent: otherwise the attacker runs out of memory itself.
          for (let at = 0; unended < STREAMS_AT_ONCE && at < STREAMS_AT_ONCE && !session.destroyed; at++) {
            unended += 1
            const stream = streamTo(session, 'resets', '/').on('close', () => {
              unended -= 1
              movedAt = performance.now()
            })
            stream.close(constants.NGHTTP2_CANCEL)
            did()
          }
          await sleep(10)
        }
      })
    })
  },

  'guesses: hosts that nobody has': async ({ front }, signal, did) => {
    await all(8, signal, async () => {
      await asked(front, `${randomBytes(4).toString('hex')}.isolation.example`, '/')
      did()
      await pause(5, signal)
    })
  },

  'guesses: tokens at the master': async ({ master }, signal, did) => {
    await all(4, signal, async () => {
      const headers = { authorization: `Bearer ${randomBytes(24).toString('base64url')}` }
      await asked(master, '127.0.0.1', '/v1/apps', { headers })
      did()
      await pause(20, signal)
    })
  },

  'smuggles: heads that are none': async ({ front }, signal, did) => {
    await all(4, signal, async () => {
      const socket = connect({ host: '127.0.0.1', port: front }).on('error', () => undefined)
      socket.resume()
      socket.end(
        `POST / HTTP/1.1\r\nHost: ${hostnameOf('steady')}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /never HTTP/1.1\r\n\r\n`,
      )
      did()
      await once(socket, 'close').catch(() => undefined)
      await pause(20, signal)
    })
  },
}

function misbehaving(app: string, path: string): Attack {
  return async ({ front }, signal, did) => {
    while (!signal.aborted) {
      // When the app dies, the request in flight must not be answered by another app, nor wake the app again and again.
      const flying = [path, '/never', '/'].map(each => asked(front, hostnameOf(app), each, { withinMs: 10_000 }))
      did()
      await Promise.race([Promise.all(flying), pause(10_000, signal)])
      await pause(MISBEHAVE_EVERY_MS, signal)
    }
  }
}

/** Runs `attack` this many times in parallel, each again and again. */
async function all(many: number, signal: AbortSignal, attack: (at: number) => Promise<void>): Promise<void> {
  await Promise.all(
    Array.from({ length: many }, async (_, at) => {
      while (!signal.aborted) await attack(at)
    }),
  )
}

type Asked = { agent?: Agent; headers?: Record<string, string>; withinMs?: number }

/** Resolves when the answer has ended, in any way. */
function asked(
  port: number,
  host: string,
  path: string,
  { agent, headers, withinMs = 5_000 }: Asked = {},
): Promise<void> {
  return new Promise(resolve => {
    const sent = request({ host: '127.0.0.1', port, path, agent: agent ?? false, headers: { host, ...headers } })
    sent.setTimeout(withinMs, () => sent.destroy())
    sent
      .on('response', answer =>
        answer
          .on('error', () => undefined)
          .on('close', resolve)
          .resume(),
      )
      .on('error', () => setTimeout(resolve, 5)) // refused at once: retry no faster than a client on another machine could
      .end()
  })
}

async function inSession(
  port: number,
  app: string,
  localAddress: string,
  signal: AbortSignal,
  use: (session: ClientHttp2Session) => Promise<void>,
): Promise<void> {
  const session = connectH2(`https://${hostnameOf(app)}:${port}`, {
    rejectUnauthorized: false,
    lookup: (_host, options, found) =>
      options.all === true ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
    localAddress,
  } as Parameters<typeof connectH2>[1])
  const stop = (): void => session.destroy()
  signal.addEventListener('abort', stop)
  session.on('error', () => undefined)
  const closed = once(session, 'close').catch(() => undefined)
  await Promise.race([once(session, 'connect').catch(() => undefined), closed])
  if (!session.destroyed) await use(session)
  session.destroy()
  // After a mass of stream resets, a session may never report that it has closed.
  await Promise.race([closed, pause(CLOSED_WITHIN_MS, signal)])
  signal.removeEventListener('abort', stop)
  await pause(50, signal)
}

function streamTo(session: ClientHttp2Session, app: string, path: string) {
  return session
    .request({ ':path': path, ':authority': hostnameOf(app) })
    .on('error', () => undefined)
    .resume()
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined) // the attack's loop checks the signal
