// Front → container, in one process: what `shadow up` is.
import { readFileSync } from 'node:fs'
import type { Setup } from '../lib/peers.ts'
import { openHop } from './hop.ts'

const { hostnames, backend, plain, tls, cert, key }: Setup = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const routes = new Map(hostnames.map(name => [name, backend]))
await openHop({ routes, forwarded: 'replace', plain, tls: { port: tls, cert, key } })
