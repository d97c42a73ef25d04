import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './folders.ts'
import { freePort } from './free-port.ts'

const PROGRAM = '/usr/sbin/named'
export const hasNamed = existsSync(PROGRAM)

type Running = AsyncDisposable & {
  readonly port: number
  /** What it has told so far. */
  readonly log: () => string
  /** A client of it. */
  readonly resolver: Resolver
}

/** BIND 9 with one zone. The key `shadow` may change it; the key `stranger` is known, and may not. */
export async function named(zone: string) {
  const [secret, secretOfStranger] = [randomBytes(32), randomBytes(32)]
  const key = (name: string, bytes: Buffer): string =>
    `key "${name}" { algorithm hmac-sha256; secret "${bytes.toString('base64')}"; };`
  const running = await runNamed('recursion no;', [
    `${key('shadow', secret)} ${key('stranger', secretOfStranger)}`,
    `zone "${zone}" { type primary; file "zone.db"; allow-update { key shadow; }; };`,
    `$TTL 60\n@ IN SOA ns1.${zone}. root.${zone}. 1 60 60 60 60\n@ IN NS ns1.${zone}.\nns1 IN A 127.0.0.1\n`,
  ])
  return {
    ...running,
    secret,
    secretOfStranger,
    /** The values of all TXT records of the name, in order. */
    async texts(name: string): Promise<readonly string[]> {
      try {
        return (await running.resolver.resolveTxt(name)).map(parts => parts.join('')).sort()
      } catch (error) {
        if (['ENODATA', 'ENOTFOUND'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
        throw error
      }
    },
  }
}

/** BIND 9 as a resolver that asks one name server, at this port of 127.0.0.1, for all names of the zone. */
export const namedResolver = (zone: string, port: number): Promise<Running> =>
  runNamed('recursion yes;', [
    `zone "${zone}" { type forward; forward only; forwarders { 127.0.0.1 port ${port}; }; };`,
  ])

async function runNamed(options: string, [first = '', zones = '', records = '']: readonly string[]): Promise<Running> {
  const folder = temporaryFolder('shadow-named-')
  const port = await freePort()
  writeFileSync(join(folder, 'zone.db'), records)
  const config = join(folder, 'named.conf')
  writeFileSync(
    config,
    `options {
      directory "${folder}"; pid-file none; session-keyfile none; dnssec-validation no; ${options}
      listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
    };
    controls { };
    ${first} ${zones}`,
  )
  // Debian's AppArmor lets the program at its own path read no other folders than those of the service.
  const program = join(folder, 'named')
  copyFileSync(PROGRAM, program)
  const child = spawn(program, ['-g', '-n', '1', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  let log = ''
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', () => reject(new Error(`named ended:\n${log}`)))
    child.stderr.on('data', (bytes: Buffer) => {
      log += bytes
      if (/ running$/m.test(log)) resolve()
    })
  })
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${port}`])
  return {
    port,
    log: () => log,
    resolver,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
