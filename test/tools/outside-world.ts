import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { answerTo, questionOf } from '../../src/lib/dns/query.ts'
import { RCODE } from '../../src/lib/dns/wire-format.ts'

// A machine behind this one, which stands for the internet: a network namespace with a name server, and hosts of HTTP and HTTPS that answer with
// what they were sent.

export const PRIVATE = '10.231.8.2'
export const PUBLIC = '203.0.113.78'
export const NAME_SERVER = '203.0.113.53'
const GATEWAY = '10.231.8.1'
const LINK = 'sh-outside'

/** What each name stands for, but for those below `.example`, which are hosts at PUBLIC. */
const NAMES: Readonly<Record<string, string>> = { 'inner.corp.example': PRIVATE, 'self.corp.example': GATEWAY }

/** What a host answers: what it was asked for, and by whom. */
export type Seen = {
  readonly host: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly from: string
}

const sh = (command: string) => execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8', stdio: 'pipe' })

/** Makes the machine, and starts its servers. The key and the certificate are those of its hosts. */
export async function outsideWorld(tls: { readonly key: string; readonly cert: string }): Promise<AsyncDisposable> {
  const name = `sh-out-${process.pid}`
  sh(`ip link del ${LINK} 2>/dev/null || true`) // left by an interrupted run
  sh(`ip netns add ${name} && ip link add ${LINK} type veth peer name eth0 netns ${name}`)
  sh(`ip addr add ${GATEWAY}/24 dev ${LINK} && ip link set ${LINK} up`)
  for (const address of [`${PRIVATE}/24`, `${PUBLIC}/32`, `${NAME_SERVER}/32`])
    sh(`ip -n ${name} addr add ${address} dev eth0`)
  sh(`ip -n ${name} link set lo up && ip -n ${name} link set eth0 up && ip -n ${name} route add default via ${GATEWAY}`)
  for (const address of [PUBLIC, NAME_SERVER]) sh(`ip route add ${address}/32 via ${PRIVATE}`)
  const serving = spawn('ip', ['netns', 'exec', name, process.execPath, import.meta.filename, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '', OUTSIDE_KEY: tls.key, OUTSIDE_CERT: tls.cert },
  }) as ChildProcess & { stdout: NodeJS.ReadableStream }
  await once(serving.stdout, 'data')
  return {
    async [Symbol.asyncDispose]() {
      serving.kill('SIGKILL')
      await once(serving, 'close')
      sh(`ip link del ${LINK}; ip netns del ${name}`)
    },
  }
}

async function serve(): Promise<void> {
  const dns = createSocket('udp4')
  dns.on('message', (message, { address, port }) => {
    const question = questionOf(message)
    if (question === undefined) return
    const { name } = question
    const known = NAMES[name] ?? (name.endsWith('.example') && !name.startsWith('missing.') ? PUBLIC : undefined)
    const answer =
      known === undefined
        ? answerTo(message, question, RCODE.NXDOMAIN)
        : answerTo(message, question, RCODE.NOERROR, { addresses: [known], ttlSeconds: 1 })
    dns.send(answer, port, address)
  })
  dns.bind(53, NAME_SERVER)
  await once(dns, 'listening')
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { host = '' } = request.headers
    if (request.url === '/stays') {
      response.write('begun')
      return // an answer that goes on until somebody ends it
    }
    if (request.url === '/elsewhere') {
      response.writeHead(302, { location: 'http://cdn.example/' }).end()
      return
    }
    const seen = { host, url: request.url, headers: request.headers, from: request.socket.remoteAddress }
    request.resume().on('end', () => response.end(JSON.stringify(seen)))
  }
  const { OUTSIDE_KEY: key = '', OUTSIDE_CERT: cert = '' } = process.env
  for (const [server, port] of [
    [createServer(answer), 80],
    [createServer(answer), 8_080],
    [createTlsServer({ key, cert }, answer), 443],
  ] as const) {
    server.listen(port, '0.0.0.0')
    await once(server, 'listening')
  }
  process.stdout.write('ready\n')
}

if (process.argv[1] === import.meta.filename && process.argv[2] === 'serve') await serve()
