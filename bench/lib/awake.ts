import { mapAtMost } from '../../src/lib/parallel.ts'
import { Connection } from '../load/connection.ts'
import type { Load } from './load.ts'
import { upgradeHead } from './websocket.ts'

const AT_ONCE = 8

/**
 * Requests each hostname of a load once, so that its apps are awake when the measurement starts; fails if one does not answer as expected.
 */
export async function wake({ kind, path, hostnames }: Load, port: number): Promise<void> {
  const isWebSocket = kind === 'websocket'
  await mapAtMost(AT_ONCE, hostnames, async name => {
    const connection = new Connection({ port })
    const request = isWebSocket
      ? upgradeHead(name)
      : `GET ${path} HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`
    const status = await new Promise<number>(answered => connection.request(Buffer.from(request), answered))
    connection.reset()
    if (status !== (isWebSocket ? 101 : 200)) throw new Error(`${name} at ${port} was answered with ${status}`)
  })
}
