// The load generator of the benches: node client.ts '{"kind": …}' (Load in ../lib/load.ts). Prints the outcome as JSON.
import type { Load } from '../lib/load.ts'
import { clientFrame, upgradeHead } from '../lib/websocket.ts'
import { Connection, type Target } from './connection.ts'
import { Tally } from './tally.ts'

const load: Load = JSON.parse(process.argv[2] ?? '{}')
const { kind, connections, hostnames, path } = load
const target: Target = { port: load.port, tls: load.tls === true, resume: load.resume === true }
const tally = new Tally()
const requests = hostnames.map(name =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${name}\r\n${kind === 'fresh' ? 'Connection: close\r\n' : ''}\r\n`),
)
let turn = 0
const nextRequest = (): Buffer => requests[turn++ % requests.length] as Buffer
let over = false

const begun = performance.now()
const loads: Record<Load['kind'], () => void> = { closed, open, fresh, websocket }
loads[kind]()
setTimeout(() => {
  over = true
  const seconds = (performance.now() - begun) / 1e3
  process.stdout.write(`${JSON.stringify({ ...tally.outcome(), seconds })}\n`, () => process.exit())
}, load.seconds * 1_000)

function closed(): void {
  for (let at = 0; at < connections; at++) {
    const send = (connection: Connection): void => {
      const since = performance.now()
      connection.request(nextRequest(), status => {
        tally.count(status === 200, since)
        if (!over) send(connection.open ? connection : new Connection(target))
      })
    }
    send(new Connection(target))
  }
}

/**
 * Requests fall due at an even pace, and the first free connection sends each of them. The time that a request waits for a connection
 * counts,
 * so a proxy that stalls gets no less load. This client's own delay (it checks the clock every millisecond) does not count.
 */
function open(): void {
  const free = Array.from({ length: connections }, () => new Connection(target))
  const waiting: number[] = []
  const send = (since: number): void => {
    const taken = free.pop()
    if (taken === undefined) return void waiting.push(since)
    const connection = taken.open ? taken : new Connection(target)
    connection.request(nextRequest(), status => {
      tally.count(status === 200, since)
      free.push(connection)
      const next = waiting.shift()
      if (next !== undefined) send(next)
    })
  }
  let sent = 0
  const tick = (): void => {
    const due = ((performance.now() - begun) / 1e3) * (load.perSecond ?? 0)
    const since = performance.now()
    for (; sent < due; sent++) send(since)
    setTimeout(tick, 1)
  }
  tick()
}

function fresh(): void {
  for (let at = 0; at < connections; at++) {
    const send = (): void => {
      const since = performance.now()
      new Connection(target).request(nextRequest(), status => {
        tally.count(status === 200, since)
        if (!over) send()
      })
    }
    send()
  }
}

function websocket(): void {
  const message = clientFrame(Buffer.alloc(100, 'm'))
  const echo = 2 + 100
  for (let at = 0; at < connections; at++) {
    const connection = new Connection(target)
    connection.request(Buffer.from(upgradeHead(hostnames[0] ?? '')), status => {
      if (status !== 101) return tally.count(false, performance.now())
      let since = performance.now()
      let got = 0
      connection.raw(bytes => {
        got += bytes.length
        if (got < echo) return
        got -= echo
        tally.count(true, since)
        since = performance.now()
        connection.write(message)
      })
      connection.write(message)
    })
  }
}
