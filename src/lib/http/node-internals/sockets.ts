import { Socket } from 'node:net'

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
