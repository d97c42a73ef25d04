import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP proxy between a daemon and the server that it calls. It keeps every byte of both directions. */
export type Recorder = AsyncDisposable & { readonly port: number; bytes(): Buffer }

/** Forwards connections to a port of this machine. */
export async function recorder(port: number): Promise<Recorder> {
  const chunks: Buffer[] = []
  const open = new Set<Socket>()
  const server = createServer(client => {
    const other = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [client, other],
      [other, client],
    ] as const) {
      open.add(from)
      from.on('data', chunk => void chunks.push(chunk))
      from.on('error', () => to.destroy()).on('close', () => open.delete(from))
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => Buffer.concat(chunks),
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of open) socket.destroy()
      await once(server, 'close')
    },
  }
}
