import { Socket } from 'node:net'
import { handleOf } from './handle.ts'

/**
 * Sets whether a failed write destroys the socket. An upstream that refuses an upload answers and closes, and our next write then fails. node:net
 * would destroy the socket, and the unread answer with it; with `false` it only reports the error. Where this Node has no such state, such an answer
 * may be lost.
 */
export function setAutoDestroy(socket: Socket, isOn: boolean): void {
  const { _writableState: writes, _readableState: reads } = socket as {
    _writableState?: { autoDestroy?: boolean }
    _readableState?: { autoDestroy?: boolean }
  }
  if (writes !== undefined) writes.autoDestroy = isOn
  if (reads !== undefined) reads.autoDestroy = isOn
}

/** The TCP connection beneath a TLS socket while it can be written to; undefined where this Node does not have it in the same place. */
export function tcpBeneath(tls: unknown): Socket | undefined {
  const { _parent: tcp } = tls as { _parent?: unknown }
  return tcp instanceof Socket && tcp.writable ? tcp : undefined
}

/**
 * Resets the TCP connection of a socket (RST). node:net cannot do it beneath TLS, where a mere end would look like that of a peer which still
 * waits. Where this Node has no such method, the connection is only closed.
 */
export function resetConnection(socket: Socket): void {
  if (!('encrypted' in socket)) {
    socket.resetAndDestroy()
    return
  }
  const tcp = handleOf(socket)?._parent
  const { close, reset } = tcp ?? {}
  if (tcp !== undefined && close !== undefined && typeof reset === 'function')
    tcp.close = done => {
      if (reset.call(tcp, done) !== 0) close.call(tcp, done) // it is being closed already
    }
  socket.destroy()
}
