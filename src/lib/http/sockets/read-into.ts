import { Socket } from 'node:net'
import type { Intake } from './buffers.ts'

type Handle = { useUserBuffer?: (buffer: Buffer) => void }
type Half = { _handle?: Handle | null } & Record<symbol, unknown>

// `onread` is for sockets that one opens; that of an accepted one is set in the same places, found by name. Where they are not, we do without.
const [BUFFER, CALLBACK, GENERATOR] = placesOf()

/** Has an open socket read into the memory of the intake, from now on; false where this Node cannot. */
export function readInto(socket: Socket, { onread }: Intake): boolean {
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
