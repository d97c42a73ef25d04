import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { drained } from '../../lib/drained.ts'
import { asShadowError, ShadowError, systemCode } from '../../lib/errors.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { openSession } from '../exec/run-session.ts'
import { orNearApps } from '../near-apps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly address: string; readonly wake?: false; readonly instance?: string }
type Ports = { readonly local: number; readonly remote: number }
type Forwarding = {
  readonly master: MasterClient
  readonly terminal: Terminal
  readonly where: { readonly app: string; readonly wake: boolean; readonly instance?: string | undefined }
}

const THIS_MACHINE = '127.0.0.1'

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('<ports...>', '[LOCAL:]PORT: a port of this machine and one of the container; LOCAL 0: any that is free')
    .option('--address <ip>', 'listen on this address of this machine', THIS_MACHINE)
    .option('--instance <id>', 'of this one of several instances, as shadow ps shows them')
    .option('--no-wake', 'refuse connections while the app is asleep')
    .action(async (name: string, given: readonly string[], flags: Flags) => {
      const pairs = given.map(portsOf)
      const { master } = await findTarget(terminal, flags)
      await orNearApps(master, name, () => master.call('getApp', { params: { app: name } }))
      const where = { app: name, wake: flags.wake ?? true, instance: flags.instance }
      for (const ports of pairs) {
        const server = await listen({ master, terminal, where }, ports, flags.address ?? THIS_MACHINE)
        const { port } = server.address() as { port: number }
        const shown = { local: `${flags.address ?? THIS_MACHINE}:${port}`, app: name, remote: ports.remote }
        terminal.out(flags.json ? `${JSON.stringify(shown)}\n` : `${shown.local} → ${name}:${ports.remote}\n`)
      }
      await new Promise(() => undefined) // until Ctrl-C
    })
  callsMaster(command, 'shadow port-forward blog-db 5432', 'shadow port-forward blog 9000:8000')
}

async function listen(forwarding: Forwarding, { local, remote }: Ports, host: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, socket => {
    join(forwarding, remote, socket).catch(error => {
      socket.resetAndDestroy()
      forwarding.terminal.err(`port ${remote}: ${asShadowError(error).message}\n`)
    })
  })
  server.listen(local, host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCode(cause) === 'EADDRINUSE' ? 'another program listens there' : (cause as Error).message
    throw new ShadowError('bad-input', `cannot listen on ${host}:${local}: ${why}`, {
      cause,
      hint: `choose another port: ${local + 10_000}:${remote}`,
    })
  }
  return server
}

/** Joins a connection with a port of the container, until both have ended. */
async function join({ master, where }: Forwarding, port: number, socket: Socket): Promise<void> {
  socket.on('error', () => undefined) // its end is seen below
  using session = await openSession(master, where, { kind: 'tcp', port })
  const send = async (): Promise<void> => {
    for await (const bytes of socket) await session.write(bytes)
    await session.endInput()
  }
  send().catch(() => session[Symbol.dispose]())
  await session.read({
    output: async (_, bytes) => {
      if (!socket.write(Buffer.from(bytes))) await drained(socket)
    },
  })
  socket.end()
}

function portsOf(text: string): Ports {
  const [, local, remote = ''] = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(text) ?? []
  const ports = { local: Number(local ?? remote), remote: Number(remote) }
  if (remote !== '' && ports.remote > 0 && ports.remote < 65_536 && ports.local < 65_536) return ports
  throw new ShadowError('bad-input', `"${text}" is not PORT or LOCAL:PORT, such as 5432 or 15432:5432`)
}
