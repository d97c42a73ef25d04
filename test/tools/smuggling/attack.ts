import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectSecurely } from 'node:tls'
import type { Front } from './front.ts'

/** After this time without bytes, the connection waits for bytes that we do not send. */
const QUIET_MS = 60
/** A proxy that miscounts its connections leaves the next client waiting; this ends that wait. */
const ANSWERED_MS = 5_000

/** Back ends that answer before they have the body do so within this time. */
const EARLY_MS = 30

/**
 * Sends the pieces unchanged on a new connection, and returns everything that comes back until the connection closes or is silent.
 * With `waits`, each piece is sent after an answer to the earlier ones, even if that answer is the last on this connection. `answered`: an
 * answer is certain to come.
 */
export async function attack(
  { port: plainPort, tlsPort, secure = false }: Front,
  pieces: readonly string[],
  { waits = false, answered = false }: { waits?: boolean | undefined; answered?: boolean | undefined } = {},
): Promise<string> {
  const port = secure ? (tlsPort ?? 0) : plainPort
  const to = { port, host: '127.0.0.1', noDelay: true, allowHalfOpen: waits }
  const socket = secure ? connectSecurely({ ...to, servername: 'app', rejectUnauthorized: false }) : connect(to)
  socket.on('error', () => {}) // refused and reset: that is an answer too
  let heard = ''
  socket.setEncoding('latin1').on('data', chunk => {
    heard += chunk
  })
  const closed = new Promise(resolve => socket.on('close', resolve))
  await Promise.race([once(socket, secure ? 'secureConnect' : 'connect'), closed])
  for (const piece of pieces) {
    if (!socket.writable) break
    const before = heard.length
    await new Promise(resolve => socket.write(piece, 'latin1', resolve))
    if (waits) {
      if (heard.length === before) await Promise.race([somethingOf(socket), closed, sleep(EARLY_MS)])
    } else if (pieces.length > 1) await new Promise(setImmediate)
  }
  if (waits) socket.end()
  if (answered && heard === '') await Promise.race([somethingOf(socket), closed, sleep(ANSWERED_MS)])
  for (let before = -1; before !== heard.length && !socket.closed; ) {
    before = heard.length
    await Promise.race([closed, sleep(QUIET_MS)])
  }
  socket.destroy()
  return heard
}

const somethingOf = (socket: Socket): Promise<unknown> => new Promise(resolve => socket.once('data', resolve))

/**
 * Requests the targets one after the other on one connection; each must get its own answer. Returns for each what went wrong, or undefined.
 */
export async function ask(port: number, targets: readonly string[]): Promise<(string | undefined)[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const faults: (string | undefined)[] = []
  for (const target of targets) {
    const body = await new Promise<string>((resolve, reject) => {
      get(
        {
          port,
          host: '127.0.0.1',
          path: target,
          agent,
          headers: { host: 'app' },
          signal: AbortSignal.timeout(ANSWERED_MS),
        },
        response => {
          text(response).then(body => resolve(`${response.statusCode} ${body}`), reject)
        },
      ).on('error', reject)
    }).catch((error: unknown) => String(error))
    faults.push(body === `200 ${target}` ? undefined : `who asked for ${target} heard ${JSON.stringify(body)}`)
  }
  agent.destroy()
  return faults
}
