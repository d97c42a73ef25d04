// Front → node → container: two processes on the one core. The node is this program started again, with `node` for its setup.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Setup } from '../lib/peers.ts'
import { freePorts, listening } from '../lib/pinned.ts'
import { openHop } from './hop.ts'

const [, self = '', file = '', nodePort] = process.argv
const { hostnames, backend, plain, tls, cert, key }: Setup = JSON.parse(readFileSync(file, 'utf8'))
const routesTo = (address: string): Map<string, string> => new Map(hostnames.map(name => [name, address]))

if (nodePort === undefined) {
  const [port = 0] = await freePorts(1)
  const node = spawn(process.execPath, [self, file, String(port)], { stdio: 'inherit' })
  process.once('SIGTERM', () => {
    node.kill()
    process.exit()
  })
  process.once('exit', () => node.kill('SIGKILL'))
  await listening(port)
  const routes = routesTo(`127.0.0.1:${port}`)
  await openHop({ routes, forwarded: 'replace', plain, tls: { port: tls, cert, key } })
} else {
  await openHop({ routes: routesTo(backend), forwarded: 'keep', plain: Number(nodePort) })
}
