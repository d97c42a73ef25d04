import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { selfSigned } from './certificates.ts'
import { temporaryFolder } from './folders.ts'
import { freePort } from './free-port.ts'
import { until } from './wire.ts'

/** Whether this machine has Debian's pebble: the ACME server that tests use, and its DNS server. */
export const hasPebble = ['pebble', 'pebble-challtestsrv'].every(program => existsSync(`/usr/bin/${program}`))

export const BINDING = { kid: 'kid-1', key: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }

type Options = {
  /** The port at which it asks all hostnames for challenges by HTTP. */
  readonly httpPort: number
  readonly validForSeconds?: number
  /** HOST:PORT of the name server to ask; left out: one of its own. */
  readonly nameServer?: string
}

/** Pebble, and the name server that it asks: every name is at 127.0.0.1 unless a test says otherwise. It wants accounts that are bound. */
export async function pebble({ httpPort, validForSeconds = 7_776_000, nameServer }: Options) {
  const folder = temporaryFolder('shadow-pebble-')
  const [port, management, dns, names] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const own = selfSigned('localhost')
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const config = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: file('cert.pem', own.cert),
    privateKey: file('key.pem', own.key),
    httpPort,
    tlsPort: 1,
    ocspResponderURL: '',
    externalAccountBindingRequired: true,
    externalAccountMACKeys: { [BINDING.kid]: BINDING.key },
    certificateValidityPeriod: validForSeconds,
  }
  const started: ChildProcess[] = []
  const start = (program: string, args: string[]): void => {
    started.push(
      spawn('/usr/bin/env', ['PEBBLE_VA_NOSLEEP=1', 'PEBBLE_AUTHZREUSE=0', program, ...args], { stdio: 'ignore' }),
    )
  }
  start('pebble-challtestsrv', [
    ...['-dns01', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${names}`, '-defaultIPv6', ''],
    ...['-http01', '', '-https01', '', '-tlsalpn01', ''],
  ])
  const startServer = (): void =>
    start('pebble', [
      '-config',
      file('config.json', JSON.stringify({ pebble: config })),
      '-dnsserver',
      nameServer ?? `127.0.0.1:${dns}`,
    ])
  startServer()
  const get = (path: string, at = management): Promise<string> =>
    new Promise((resolve, reject) => {
      const agent = new Agent({ ca: own.cert })
      request({ host: '127.0.0.1', port: at, path, agent, servername: 'localhost' })
        .on('response', response => void text(response).then(resolve, reject))
        .on('error', reject)
        .end()
    })
  const isUp = (): Promise<boolean> =>
    get('/dir', port).then(
      () => true,
      () => false,
    )
  await patiently(isUp)
  return {
    directory: `https://localhost:${port}/dir`,
    /** What signs the HTTPS of the server itself, in a file. */
    caFile: file('ca.pem', own.cert),
    ca: own.cert,
    /** The root of the certificates that it gives. It has a new one after each start. */
    root: () => get('/roots/0'),
    /** Changes what the name server answers: `set-txt`, `clear-txt`, `add-a`, `set-servfail` and so on. */
    async dns(call: string, body: object): Promise<void> {
      const answer = await fetch(`http://127.0.0.1:${names}/${call}`, { method: 'POST', body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(`${call}: ${answer.status}`)
    },
    [Symbol.dispose]() {
      for (const one of started) one.kill('SIGKILL')
    },
  }
}

async function patiently(isThere: () => Promise<boolean>): Promise<void> {
  let there = false
  await until(() => {
    void isThere().then(now => {
      there ||= now
    })
    return there
  })
}
