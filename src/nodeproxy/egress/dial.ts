import { createConnection, type Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'

const WITHIN_MS = 5_000

/** Connects to one of the addresses, in their order, for as long as `wanted` is open. Rejects with the last failure. */
export async function dial(
  addresses: readonly string[],
  port: number,
  wanted: Socket,
  clock: Clock,
): Promise<Socket | undefined> {
  let failure: unknown
  for (const address of addresses) {
    if (wanted.destroyed) return undefined
    try {
      return await connectTo(address, port, wanted, clock)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

function connectTo(host: string, port: number, wanted: Socket, clock: Clock): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true })
    const late = clock.after(WITHIN_MS, () => socket.destroy(new Error(`${host}:${port} takes no connection in time`)))
    const settle = (): void => {
      late[Symbol.dispose]()
      wanted.off('close', left)
    }
    const left = (): void => {
      settle()
      socket.destroy()
      resolve(undefined)
    }
    wanted.once('close', left)
    socket.on('error', cause => {
      settle()
      reject(cause)
    })
    socket.once('connect', () => {
      settle()
      resolve(socket)
    })
  })
}
