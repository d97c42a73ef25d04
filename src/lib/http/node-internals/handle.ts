import type { Socket } from 'node:net'

/** A write that is handed to the handle of a socket. */
export type WriteRequest = { oncomplete?: (status: number) => void; getAsyncId(): number }

/** What node:net writes by, as far as it is used here. */
export type Handle = {
  /** Bytes that the kernel has not taken yet. */
  readonly writeQueueSize?: number
  /** Returns 0, or a negative code of the system. */
  writeBuffer?(request: WriteRequest, bytes: Buffer): number
  close?(done: () => void): void
  /** Of TCP: closes the connection by a reset. Returns 0, or a code of the system if it cannot. */
  reset?(done: () => void): number
  /** Of TLS: the handle of the TCP connection beneath. */
  readonly _parent?: Handle
}

/** The class of write requests, once a request was seen; null if this Node has another one than we know. */
let RequestClass: (new () => WriteRequest) | null | undefined

/** The handle of a socket; none before it is connected and after it has closed. */
export const handleOf = (socket: Socket): Handle | null | undefined => (socket as { _handle?: Handle | null })._handle

/** Bytes that the TCP connection beneath a TLS handle has not sent to the kernel yet; undefined if this Node does not tell. */
export const tcpQueueOf = (handle: Handle): number | undefined => handle._parent?.writeQueueSize

/** Tells whether a request is complete. node:net gives every request that goes on an id. */
export const isComplete = (request: WriteRequest): boolean => request.getAsyncId() === UNUSED
const UNUSED = -1

/** Makes a write request; undefined while its class is unknown. Node does not export the class, so it is taken from the next ordinary write. */
export function newWriteRequest(handle: Handle): WriteRequest | undefined {
  if (RequestClass !== undefined) return RequestClass === null ? undefined : new RequestClass()
  const { writeBuffer } = handle
  handle.writeBuffer = (request, bytes) => {
    delete handle.writeBuffer // uncovers the method of all handles
    const found = request.constructor as new () => WriteRequest
    RequestClass = found.name === 'WriteWrap' && typeof request.getAsyncId === 'function' ? found : null
    return writeBuffer?.call(handle, request, bytes) ?? 0
  }
  return undefined
}
