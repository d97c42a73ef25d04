// Opens connections and holds them: node holder.ts '{"port": …, "count": …}'. Prints `held COUNT` when all are open, and closes them when
// stdin ends.
import { setTimeout as sleep } from 'node:timers/promises'
import { upgradeHead } from '../lib/websocket.ts'
import { Connection } from './connection.ts'

type Wanted = { port: number; count: number; hostname: string; kind: 'idle' | 'websocket' }

const { port, count, hostname, kind }: Wanted = JSON.parse(process.argv[2] ?? '{}')
const request = Buffer.from(kind === 'idle' ? `GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n` : upgradeHead(hostname))
const wanted = kind === 'idle' ? 200 : 101
const AT_ONCE = 64

const held: Connection[] = []
let failed = 0
await Promise.all(
  Array.from({ length: AT_ONCE }, async (_, lane) => {
    for (let at = lane; at < count; at += AT_ONCE) {
      const connection = await opened()
      if (connection === undefined) failed++
      else held.push(connection)
    }
  }),
)
process.stdout.write(`held ${held.length} failed ${failed}\n`)
process.stdin.resume().on('end', () => {
  const open = held.filter(connection => connection.open)
  for (const connection of open) connection.reset()
  process.stdout.write(`still ${open.length}\n`, () => setImmediate(() => process.exit()))
})

/** A port of an earlier run may linger for a minute, so a connection that cannot be opened is tried again for a while. */
async function opened(): Promise<Connection | undefined> {
  for (let tries = 0; tries < 100; tries++) {
    const connection = new Connection({ port })
    const status = await new Promise(answered => connection.request(request, answered))
    if (status === wanted) return connection
    await sleep(1_000)
  }
}
