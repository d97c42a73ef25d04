import { Tunnel } from '../../upgrade/tunnel.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import type { ServerContext } from '../server-context.ts'
import type { ClientConnection } from './exchange-connection.ts'

type Joining = {
  readonly context: ServerContext
  /** The protocol that the client asked for. */
  readonly protocol: string | undefined
  /** The bytes that the upstream sent after its head. */
  readonly early: Buffer
  /** Both connections have closed. */
  readonly onClosed: () => void
}

/** Joins the connections of a client and of its upstream, which have switched to another protocol, until both have closed. */
export function joinTunnel(
  client: ClientConnection,
  upstream: UpstreamConnection,
  { context, protocol, early, onClosed }: Joining,
): Tunnel {
  const { clock, counters, limits, pingEveryMs } = context
  const isWebSocket = protocol?.toLowerCase() === 'websocket'
  counters.answered(101)
  if (isWebSocket) {
    counters.webSockets += 1
    counters.webSocketsOpen += 1
  }
  const tunnel = new Tunnel(client, upstream, {
    clock,
    pingEveryMs: isWebSocket ? pingEveryMs : undefined,
    stalledAfterMs: limits.stalledAfterMs,
    onLate: () => {
      counters.lateSwitched += 1
    },
    onClosed: () => {
      if (isWebSocket) counters.webSocketsOpen -= 1
      onClosed()
    },
  })
  upstream.switchTo({
    received: (bytes, length, lent) => tunnel.down.received(bytes, length, lent),
    ended: () => tunnel.down.ended(),
    writeFailed: cause => void upstream.socket.destroy(cause),
    lost: () => undefined, // the tunnel listens to the close itself
    awaitsAnswer: false,
    silent: () => undefined,
  })
  if (early.length > 0) tunnel.down.received(early, early.length, true)
  client.switchTo(tunnel)
  if (context.closing) tunnel.goAway()
  return tunnel
}
