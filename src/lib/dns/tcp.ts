import { connect } from 'node:net'
import { deadline } from '../abort.ts'
import { byteReader } from '../byte-reader.ts'
import type { Clock } from '../clock.ts'
import { framed } from './wire-format.ts'

export type DnsAddress = { readonly host: string; readonly port: number }

/** Sends one DNS message on a connection of its own, and gives the bytes of the answer. Fails if there is none within that time. */
export async function askByTcp(
  message: Buffer,
  { host, port }: DnsAddress,
  { withinMs, clock }: { readonly withinMs: number; readonly clock: Clock },
): Promise<Buffer> {
  const socket = connect({ host, port })
  socket.on('error', () => undefined) // the reader below fails with it
  using limit = deadline(clock, withinMs, () => new Error(`no answer within ${withinMs / 1_000} s`))
  limit.signal.addEventListener('abort', () => socket.destroy(limit.signal.reason as Error), { once: true })
  try {
    const reader = byteReader(socket, () => new Error('it closed the connection without a whole answer'))
    socket.write(framed(message))
    const length = (await reader.take(2)).readUInt16BE()
    return await reader.take(length)
  } finally {
    socket.destroy()
  }
}
