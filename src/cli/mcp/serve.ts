import type { Readable } from 'node:stream'
import { McpServer } from '@modelcontextprotocol/server'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import type { MasterClient } from '../../api/client.ts'
import { VERSION } from '../../lib/version.ts'
import type { Terminal } from '../terminal.ts'
import { Sandboxes } from './sandboxes.ts'
import { addTools } from './tools.ts'

/** Serves sandboxes as tools over stdin and stdout, until stdin is closed. Nothing but the protocol is written to stdout. */
export async function serveMcp(terminal: Terminal, master: MasterClient, only: string | undefined): Promise<void> {
  const { pipes } = terminal
  const input = pipes.in as Readable
  const closed = new Promise<void>(resolve => {
    input
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve())
    pipes.out.once('error', () => resolve()) // its reader has gone
  })
  const sandboxes = new Sandboxes(master, only)
  const handle = serveStdio(
    () => {
      const server = new McpServer({ name: 'shadow', version: VERSION }, { capabilities: { tools: {} } })
      addTools(server, { master, sandboxes, only })
      return server
    },
    { transport: new StdioServerTransport(input, pipes.out), onerror: error => terminal.err(`${error.message}\n`) },
  )
  await closed
  await handle.close()
}
