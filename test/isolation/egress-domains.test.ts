import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import { egress } from '../../src/model/egress.ts'
import { hostname } from '../../src/model/hostname.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName } from '../../src/model/names.ts'
import { size } from '../../src/model/quantities.ts'
import type { WireCredential } from '../../src/model/wire.ts'
import { namedEgress } from '../../src/nodeproxy/egress/named-egress.ts'
import type { Container } from '../../src/nodeproxy/runtime/runtime.ts'
import { containersOfTest, run } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'
import { nodeImage } from '../tools/images.ts'
import { hostsOutside } from '../tools/outside-hosts.ts'
import { NAME_SERVER, outsideWorld, PRIVATE, PUBLIC, type Seen } from '../tools/outside-world.ts'

const hosts = await hostsOutside()
const folder = mkdtempSync(join(tmpdir(), 'shadow-egress-'))
const kept = { folder: `${folder}/containers`, isUpgrade: false }
const opened = () =>
  namedEgress({
    servers: [NAME_SERVER],
    folder: `${folder}/egress`,
    authorities: hosts.ca,
    clock: systemClock,
    log: noLog,
  })
const named = opened()
const { runtime, started, task, node, network } = containersOfTest({ named, records: kept })

let image: string
let world: AsyncDisposable
beforeAll(async () => {
  world = await outsideWorld(hosts)
  image = await nodeImage()
})
afterAll(async () => {
  await named[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const app = (name: string, ...list: string[]) => appWith([], name, ...list)
const appWith = (wire: readonly WireCredential[], name: string, ...list: string[]) =>
  started(
    task({
      app: appName(name),
      image,
      ...(wire.length > 0 && { wire }),
      command: ['node', '-e', 'setInterval(() => undefined, 1e9)'],
      limits: { memory: size('128MiB'), cpus: 1, pids: 64 },
      egress: list.map(egress),
    }),
  )

/** Runs a script of Node in the container; the result is what its expression resolves with. `onBegun`: called when it writes to stderr. */
async function inside<T = unknown>({ id }: Container, expression: string, onBegun?: () => Promise<void>): Promise<T> {
  const script = `${HELPERS};(async () => (${expression}))().catch(e => String(e.cause?.code ?? e.code ?? e.message)).then(r => console.log(JSON.stringify(r ?? null)))`
  const running = promisify(execFile)('docker', ['exec', id, 'node', '-e', script])
  if (onBegun !== undefined) running.child.stderr?.once('data', () => void onBegun())
  return JSON.parse((await running).stdout)
}

const HELPERS = `
const { get: getPlain } = require('node:http'), { get: getTls } = require('node:https'), net = require('node:net'), dns = require('node:dns/promises')
const fetched = (url, more = {}) => new Promise((resolve, reject) => {
  const got = (url.startsWith('https') ? getTls : getPlain)(url, { rejectUnauthorized: false, agent: false, ...more }, answer => {
    let body = ''
    const issuer = answer.socket.getPeerCertificate?.().issuer?.CN
    answer.on('data', part => body += part).on('end', () => resolve({ status: answer.statusCode, issuer, body: answer.statusCode === 200 ? JSON.parse(body) : body }))
  })
  got.on('error', reject).setTimeout(8000, () => got.destroy(new Error('no answer')))
})
const connects = (host, port) => new Promise(resolve => {
  const socket = net.connect(port, host, () => { socket.destroy(); resolve('connected') })
  socket.on('error', error => resolve(error.code)).setTimeout(5000, () => resolve('silence'))
})`

const ALERT = /^(EPROTO|ERR_SSL_.*ALERT.*)$/
type Fetched = { readonly status: number; readonly issuer?: string; readonly body: Seen }
const refused = (name: string) =>
  (runtime.refusedNames().get(instanceId(appName(name))) ?? []).map(({ to, why }) => `${to}: ${why}`)

test('an app reaches the domains that its definition names, by HTTP and HTTPS, and nothing else', async () => {
  const blog = await app('blog', 'api.corp.example', '*.cdn.example', 'api.corp.example:8080')
  const plain = await inside<Fetched>(blog, `fetched('http://api.corp.example/x?y')`)
  expect(plain).toMatchObject({ status: 200, body: { host: 'api.corp.example', url: '/x?y' } })
  // The host gets what the app sent, and no trace of the proxy.
  expect(Object.keys(plain.body.headers)).toEqual(['host'])
  const secured = await inside<Fetched>(blog, `fetched('https://api.corp.example/')`)
  expect(secured).toMatchObject({ status: 200, issuer: 'outside', body: { host: 'api.corp.example' } })
  expect(await inside<Fetched>(blog, `fetched('https://a.b.cdn.example/')`)).toMatchObject({ status: 200 })
  expect(await inside<Fetched>(blog, `fetched('http://api.corp.example:8080/')`)).toMatchObject({ status: 200 })

  expect(await inside(blog, `fetched('https://evil.example/')`)).toBe('ENOTFOUND')
  expect(await inside(blog, `dns.resolve4('evil.example').catch(e => e.code)`)).toBe('ENOTFOUND')
  expect(await inside(blog, `dns.resolve6('api.corp.example').catch(e => e.code)`)).toBe('ENODATA')
  expect(await inside(blog, `dns.resolve4('missing.cdn.example').catch(e => e.code)`)).toBe('ENOTFOUND')
  expect(refused('blog')).toEqual(['evil.example: its egress does not name it'])
}, 120_000)

test('an address is no way around the names', async () => {
  const blog = await app('addresses', 'api.corp.example', `${PRIVATE}:8080`)
  const at = (more: string) => `{ hostname: '${PUBLIC}', ${more} }`
  expect(await inside<Fetched>(blog, `fetched('http://x/', ${at(`headers: { host: 'evil.example' }`)})`)).toMatchObject(
    { status: 403 },
  )
  expect(await inside<Fetched>(blog, `fetched('http://${PUBLIC}/')`)).toMatchObject({ status: 403 })
  expect(await inside(blog, `fetched('https://x/', ${at(`servername: 'evil.example'`)})`)).toMatch(ALERT)
  expect(await inside(blog, `fetched('https://${PUBLIC}/')`)).toMatch(ALERT)
  expect(await inside(blog, `connects('${PUBLIC}', 8080)`)).toBe('ECONNREFUSED')
  expect(await inside(blog, `connects('${PRIVATE}', 80)`)).toBe('connected') // by the proxy, which has no name yet
  expect(await inside<Fetched>(blog, `fetched('http://${PRIVATE}:8080/')`)).toMatchObject({ status: 200 })
  expect(refused('addresses')).toEqual([
    'evil.example:80: its egress does not name it',
    `${PUBLIC}:80: it is not the name of a host`,
    'evil.example:443: its egress does not name it',
    '?:443: TLS without the name of a host',
  ])
  // What is refused by its address alone is counted.
  expect((await runtime.refusedConnections()).get(instanceId(appName('addresses')))).toBe(1)
  // No packet of UDP leaves it, but to its name server, whichever it asks.
  const asked = (server: string) =>
    inside(
      blog,
      `(r => (r.setServers(['${server}']), r.resolve4('api.corp.example')))(new dns.Resolver({ timeout: 1000, tries: 1 }))`,
    )
  expect(await asked('9.9.9.9')).toEqual([PUBLIC])
  expect(await asked('9.9.9.9:443')).toMatch(/ECONNREFUSED|ETIMEOUT/)
}, 120_000)

test('a name is no way into a private network or to the machine, unless the definition opens that too', async () => {
  const blog = await app('inward', '*.corp.example')
  expect(await inside(blog, `fetched('https://inner.corp.example/')`)).toMatch(ALERT)
  expect(await inside(blog, `fetched('http://inner.corp.example/')`)).toMatchObject({ status: 403 })
  expect(await inside(blog, `fetched('http://self.corp.example/')`)).toMatchObject({ status: 403 })
  expect(refused('inward')).toEqual([
    `inner.corp.example:443: its address ${PRIVATE} is in a private network, or of this machine`,
    `inner.corp.example:80: its address ${PRIVATE} is in a private network, or of this machine`,
    'self.corp.example:80: its address 10.231.8.1 is in a private network, or of this machine',
  ])
  const open = await app('open', '*.corp.example', `${PRIVATE}:80`)
  expect(await inside(open, `fetched('http://inner.corp.example/')`)).toMatchObject({ status: 200 })
  expect(await inside(open, `fetched('https://inner.corp.example/')`)).toMatch(ALERT)
}, 120_000)

test('each app has its own names, and other apps are as they were', async () => {
  const [one, other, free] = [
    await app('one', 'api.corp.example'),
    await app('other', 'cdn.example'),
    await app('free'),
  ]
  const seen = (container: Container) =>
    inside(
      container,
      `Promise.all(['api.corp.example', 'cdn.example'].map(host => fetched('http://${PUBLIC}/', { headers: { host } }).then(r => r.status)))`,
    )
  expect([await seen(one), await seen(other), await seen(free)]).toEqual([
    [200, 403],
    [403, 200],
    [200, 200],
  ])
  await runtime.stop(one, 0)
  await runtime.remove(one)
  expect(refused('one')).toEqual([])
  expect(execFileSync('iptables', ['-t', 'nat', '-S'], { encoding: 'utf8' })).not.toContain(`${one.ip}/`)
}, 120_000)

test('what an app may reach is changed while it runs, and over a restart of its node; connections to what it loses end', async () => {
  const blog = await app('live', 'api.corp.example', 'cdn.example')
  const status = (host: string) => inside(blog, `fetched('https://${host}/').then(r => r.status)`)
  expect(await status('api.corp.example')).toBe(200)
  const stays = inside(
    blog,
    `new Promise(resolve => getTls('https://api.corp.example/stays', { rejectUnauthorized: false }, answer => {
      answer.on('data', () => console.error('begun')).on('error', error => resolve(error.code))
    }).on('error', error => resolve(error.code)))`,
    () => runtime.setEgress(blog, ['cdn.example', 'other.example'].map(egress)),
  )
  expect(await stays).toBe('ECONNRESET')
  expect([await status('api.corp.example'), await status('cdn.example'), await status('other.example')]).toEqual([
    'ENOTFOUND',
    200,
    200,
  ])
  const again = opened()
  try {
    await docker({ node, network, named: again, records: kept }).leftBehind()
    expect([await status('api.corp.example'), await status('other.example')]).toEqual(['ENOTFOUND', 200])
  } finally {
    await again[Symbol.asyncDispose]()
  }
}, 120_000)

test('a secret is added to requests to its host, by HTTP and HTTPS, and is nowhere in the container', async () => {
  const SECRET = 'sk-planted-4711'
  const wire = ['Authorization', 'X-Api-Key'].map(header => ({
    secret: 'API_KEY',
    host: hostname('api.corp.example'),
    header,
    format: header === 'Authorization' ? 'Bearer {}' : '{}',
    value: SECRET,
  }))
  const blog = await appWith(wire, 'wired', 'api.corp.example', 'cdn.example')
  const other = await app('unwired', 'api.corp.example', 'cdn.example')
  const sent = `{ rejectUnauthorized: undefined, headers: { authorization: 'Bearer ' + process.env.API_KEY } }`
  for (const scheme of ['http', 'https']) {
    const got = await inside<Fetched>(blog, `fetched('${scheme}://api.corp.example/v1', ${sent})`)
    expect(got).toMatchObject({ status: 200 })
    const { status, body } = got
    expect([status, body.url, body.headers['authorization'], body.headers['x-api-key']]).toEqual([
      200,
      '/v1',
      `Bearer ${SECRET}`,
      SECRET,
    ])
    // What a program of another language would use finds the same authority.
    const elsewhere = await inside<Fetched>(
      blog,
      `fetched('${scheme}://cdn.example/', { headers: { authorization: 'Bearer ' + process.env.API_KEY } })`,
    )
    expect([elsewhere.status, elsewhere.body.headers['authorization']]).toEqual([200, 'Bearer added-by-shadow'])
    const ofOther = await inside<Fetched>(other, `fetched('${scheme}://api.corp.example/')`)
    expect([ofOther.status, ofOther.body.headers['authorization'], ofOther.issuer]).toEqual([
      200,
      undefined,
      scheme === 'https' ? 'outside' : undefined,
    ])
  }
  // `fetch` trusts by NODE_EXTRA_CA_CERTS alone here, and follows the redirect to another host, which gets nothing.
  const followed = `fetch('https://api.corp.example/elsewhere').then(r => r.json())`
  const followedTo = await inside<Seen>(blog, followed)
  expect([followedTo.host, JSON.stringify(followedTo).includes(SECRET)]).toEqual(['cdn.example', false])

  const look = `sh('env; cat /proc/[0-9]*/environ; cat /run/shadow-ca/*; ls -la /run/shadow-ca')`
  const shell = `const sh = c => require('node:child_process').execSync(c + ' 2>/dev/null || true', { maxBuffer: 1e8 }).toString()`
  const seen = await inside<string>(blog, `(() => { ${shell}; return ${look} })()`)
  expect(seen).toContain('API_KEY=added-by-shadow')
  expect(seen).not.toContain(SECRET)
  expect(run('inspect', blog.id)).not.toContain(SECRET)
  const onDisk = execFileSync('/bin/sh', ['-c', `grep -rl ${SECRET} ${folder} || true`], { encoding: 'utf8' })
  expect(onDisk).toBe('')
  await inside(blog, `fetched('https://evil.example/').catch(() => 0)`)
  expect(JSON.stringify([...runtime.refusedNames()])).not.toContain(SECRET)

  const again = opened()
  try {
    const next = docker({ node, network, named: again, records: kept, wireOf: () => wire })
    await next.leftBehind()
    const { body } = await inside<Fetched>(blog, `fetched('https://api.corp.example/', ${sent})`)
    expect(body.headers['authorization']).toBe(`Bearer ${SECRET}`)
  } finally {
    await again[Symbol.asyncDispose]()
  }
}, 180_000)

test('a node that is started again serves the apps that run', async () => {
  const blog = await app('again', 'api.corp.example')
  const again = opened()
  const next = docker({ node, network, named: again, records: kept })
  try {
    await next.leftBehind()
    expect(await inside<Fetched>(blog, `fetched('https://api.corp.example/')`)).toMatchObject({ status: 200 })
    expect(await inside(blog, `fetched('https://evil.example/')`)).toBe('ENOTFOUND')
    expect(next.refusedNames().get(instanceId(appName('again')))).toMatchObject([{ to: 'evil.example', count: 1 }])
  } finally {
    await again[Symbol.asyncDispose]()
  }
}, 120_000)

test('where the packet filter has no rules, an app with domains is not started', async () => {
  for (const egress of ['off', 'warn'] as const) {
    const exec = () => Promise.reject(new Error('iptables: not found'))
    const open = docker({ node, network, egress, exec, named })
    const given = task({ app: appName('blog'), egress: ['api.corp.example'].map(one => one as never) })
    await expect(
      open.create(instanceId(appName('blog')), given, undefined, new AbortController().signal),
    ).rejects.toMatchObject({ code: 'egress-open' })
  }
}, 60_000)
