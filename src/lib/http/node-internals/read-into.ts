import { Socket } from 'node:net'
import { uses } from './fallbacks.ts'

/** The option `onread` of node:net: the buffer to read into, and the callback for the bytes. */
type OnRead = { buffer: () => Buffer; callback: (length: number, bytes: Uint8Array) => boolean }
type Handle = { useUserBuffer?: (buffer: Buffer) => void }
type Half = { _handle?: Handle | null } & Record<symbol, unknown>

// Node publishes `onread` for sockets that are opened only. On an accepted socket it is set in the same places, which are found by their names.
const [BUFFER, CALLBACK, GENERATOR] = placesOf()

/** Lets an open socket read into the caller's memory from now on. Returns false if this Node cannot; then listen to `data`. */
export function readInto(socket: Socket, onread: OnRead): boolean {
  if (!uses('reads')) return false
  const half = socket as unknown as Half
  const handle = half._handle
  if (BUFFER === undefined || CALLBACK === undefined || GENERATOR === undefined) return false
  if (half[BUFFER] === undefined || typeof handle?.useUserBuffer !== 'function') return false
  const first = onread.buffer()
  half[BUFFER] = first
  half[CALLBACK] = onread.callback
  half[GENERATOR] = onread.buffer
  handle.useUserBuffer(first)
  return true
}

function placesOf(): (symbol | undefined)[] {
  const buffer = (): Buffer => Buffer.alloc(1)
  const callback = (): boolean => true
  const probe = new Socket({ onread: { buffer, callback } } as ConstructorParameters<typeof Socket>[0])
  const half = probe as unknown as Half
  const symbols = Object.getOwnPropertySymbols(probe)
  const place = (name: string): symbol | undefined => symbols.find(symbol => symbol.description === name)
  const found = [place('kBuffer'), place('kBufferCb'), place('kBufferGen')]
  const fits =
    found.every(symbol => symbol !== undefined) &&
    half[found[1] as symbol] === callback &&
    half[found[2] as symbol] === buffer
  probe.destroy()
  return fits ? found : []
}
