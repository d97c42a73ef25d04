import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { blocksOf } from '../../contrib/docs/markdown.ts'
import { ShadowClient } from '../../src/sdk/main.ts'
import { browser } from '../tools/browser.ts'
import { busyboxImage, nodeImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const root = join(import.meta.dirname, '../..')
/** The Node of the system, which is another one than ours: 20 where this was written. */
const NODE = existsSync('/usr/bin/node') ? '/usr/bin/node' : process.execPath
const QUIET = ['--offline', '--no-audit', '--no-fund', '--silent']

let shadow: Shadow
/** A project that has installed the tarball. */
let project: string
const undo = new AsyncDisposableStack()

const run = async (file: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> =>
  (await promisify(execFile)(file, args, { cwd: project, env: { ...process.env, ...env } })).stdout
const write = (name: string, text: string): Promise<void> => writeFile(join(project, name), text)
const master = () => ({ SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken })

beforeAll(async () => {
  shadow = undo.use(await Shadow.start())
  const folder = await mkdtemp(join(tmpdir(), 'shadow-sdk-'))
  undo.defer(() => rm(folder, { recursive: true }))
  project = join(folder, 'project')
  await mkdir(project)
  await write('package.json', '{"private":true,"type":"module"}')
  await run(process.execPath, [join(root, 'contrib/package/sdk/build.ts'), join(folder, 'sdk')])
  const packed = await run('npm', ['pack', '--silent', join(folder, 'sdk'), '--pack-destination', folder])
  await run('npm', ['install', ...QUIET, join(folder, packed.trim())])
  const packages = join(project, 'node_modules')
  await mkdir(join(packages, '@types'))
  for (const name of ['ws', '@types/ws', 'preact'])
    await symlink(join(root, 'node_modules', name), join(packages, name))
  // Preact is React to a project that does this.
  await mkdir(join(packages, 'react'))
  await write('node_modules/react/package.json', '{"name":"react","type":"module","exports":"./index.js"}')
  await write('node_modules/react/index.js', "export * from 'preact/compat'\n")
})
afterAll(() => undo.disposeAsync())

test('the tarball has what a program needs, no dependencies, and nothing else', async () => {
  const installed = join(project, 'node_modules/@shadow/sdk')
  const files = (await readdir(installed)).toSorted()
  assert.deepEqual(files, ['LICENSE', 'README.md', 'index.js', 'package.json', 'react.js', 'shared.js', 'types'])
  const { dependencies, license, sideEffects } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  assert.deepEqual([dependencies, license, sideEffects], [undefined, 'Apache-2.0', false])
})

describe('on the Node of the system', () => {
  test('the example of its README runs as it stands', async () => {
    const readme = await readFile(join(project, 'node_modules/@shadow/sdk/README.md'), 'utf8')
    const example = blocksOf(readme).find(({ text }) => text.startsWith('// example.mjs'))
    await write('example.mjs', example?.text ?? '')
    // In place of a wildcard in the DNS.
    const toHere = "(host, options, done) => dns.find(host.endsWith('.localhost') ? '127.0.0.1' : host, options, done)"
    await write('hosts.cjs', `const dns = require('node:dns'); dns.find = dns.lookup; dns.lookup = ${toHere}`)
    const words = ['--require', './hosts.cjs', 'example.mjs', await nodeImage()]
    const lines = (await run(NODE, words, master())).trim().split('\n')
    assert.match(lines.at(-2) ?? '', /^ready/)
    assert.match(lines.at(-1) ?? '', /^200 http:\/\/[a-z2-7]{16}\.shadow-from-image\.localhost/)
  })

  test('commands run in a sandbox, by the WebSocket of ws', async () => {
    const image = await busyboxImage()
    await write(
      'sandbox.mjs',
      `import { ShadowClient, ShadowFailure } from '@shadow/sdk'
       import WebSocket from 'ws'
       const { SHADOW_URL: url, SHADOW_TOKEN: token } = process.env
       const spawn = { image: '${image}', command: ['sleep', '1000000'], ready: { kind: 'started' } }
       const sandbox = await new ShadowClient({ url, token, WebSocket }).createSandbox({ spawn })
       await sandbox.writeFile('/tmp/words', 'from a file')
       const said = await sandbox.exec(['cat', '/tmp/words'])
       const without = await new ShadowClient({ url, token }).sandbox(sandbox.session)
       const failure = globalThis.WebSocket ? undefined : await without.exec('true').catch(error => error)
       const told = failure === undefined || (failure instanceof ShadowFailure && failure.message.includes('no WebSocket'))
       await sandbox.end('hard')
       console.log(JSON.stringify({ ...said, told }))`,
    )
    const said = JSON.parse(await run(NODE, ['sandbox.mjs'], master()))
    assert.deepEqual(said, { exitCode: 0, stdout: 'from a file', stderr: '', told: true })
  })
})

const TYPED = `
import { type Connected, type ConnectRequest, sessionHooks, ShadowClient, ShadowFailure } from '@shadow/sdk'
import { useSession } from '@shadow/sdk/react'

const client = new ShadowClient({ url: 'http://127.0.0.1:8080', token: 't', fetch })
const request: ConnectRequest = { key: { name: 'a' }, spawn: { image: 'x', ready: { kind: 'http', path: '/' } } }
export async function all(signal: AbortSignal): Promise<string | undefined> {
  const got: Connected = await client.connect(request, signal)
  for await (const { state } of client.status(got.session)) if (state === 'ready') break
  const sandbox = await client.sandbox(got)
  using shell = await sandbox.spawn(['sh'], { tty: { columns: 80, rows: 24 } })
  const bytes: ReadableStream<Uint8Array> = shell.stdout
  await bytes.cancel()
  const [first] = await sandbox.list('/')
  // @ts-expect-error: a template is named by a text
  await client.connect({ template: 3 })
  // @ts-expect-error: there is no such kind
  await client.connect({ spawn: { image: 'x', ready: { kind: 'soon' } } })
  return first?.name
}
export const used: boolean = useSession(async () => ({ url: '' })).isReady
export const hint = (error: unknown): string | undefined => (error instanceof ShadowFailure ? error.hint : undefined)
export const hooks = sessionHooks({ useState: first => [first, () => undefined], useEffect: () => undefined })
`

describe('its types hold in a strict project that checks those of libraries too', () => {
  const strict = {
    ...{ target: 'es2022', strict: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noEmit: true },
    ...{ noUncheckedIndexedAccess: true, verbatimModuleSyntax: true },
  }
  const WITH_WS = `import WebSocket from 'ws'\nexport const node = new ShadowClient({ url: '', token: '', WebSocket })\n`
  for (const [what, text, options] of [
    ['of a browser', TYPED, { lib: ['es2022', 'dom'], module: 'esnext', moduleResolution: 'bundler', types: [] }],
    ['of Node', TYPED + WITH_WS, { lib: ['es2022'], module: 'nodenext', types: ['node'] }],
  ] as const)
    test(what, async () => {
      await write('typed.ts', text)
      const compilerOptions = { ...strict, ...options, typeRoots: [join(root, 'node_modules/@types')] }
      await write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['typed.ts'] }))
      const said = await run(join(root, 'node_modules/.bin/tsc'), ['-p', '.']).catch(error => error.stdout)
      assert.equal(said, '')
    })
})

async function bundled(text: string): Promise<string> {
  await write('page.js', text)
  await using build = await rolldown({ input: join(project, 'page.js'), platform: 'browser' })
  const { output } = await build.generate({ format: 'esm' })
  assert.equal(output.length, 1)
  return output[0].code
}

describe('in a bundle for browsers', () => {
  test('is only what is used', async () => {
    const code = await bundled("import { sessionHooks } from '@shadow/sdk'\nglobalThis.hooks = sessionHooks\n")
    assert.match(code, /useEffect/)
    assert.doesNotMatch(code, /ShadowClient|WebSocket/)
  })

  test('a page follows its session by the hook, in Chromium', async () => {
    const code = await bundled(`
      import { createElement, render } from 'preact/compat'
      import { useSession } from '@shadow/sdk/react'
      const connect = async signal => (await fetch('/connect', { method: 'POST', signal })).json()
      const Page = () => {
        const { state, url } = useSession(connect)
        return createElement('p', { title: url ?? '' }, state)
      }
      render(createElement(Page), document.body)`)
    const client = new ShadowClient({ url: shadow.up.masterUrl, token: shadow.up.adminToken })
    const spawn = { image: await nodeImage() }
    let last = ''
    const server = createServer(async (request, response) => {
      if (request.url === '/page.js') return response.setHeader('content-type', 'text/javascript').end(code)
      if (request.method !== 'POST') return response.end('<body><script type="module" src="/page.js"></script>')
      const { url, session } = await client.connect({ key: { name: 'page' }, spawn })
      last = session
      response.end(JSON.stringify({ url }))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    undo.defer(() => void server.close().closeAllConnections())
    await using chromium = await browser(['*.localhost'])
    const page = await chromium.open()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await page.getByText('ready', { exact: true }).waitFor()
    const url = (await page.locator('p').getAttribute('title')) ?? ''
    assert.match(url, /shadow-from-image\.localhost/)
    await client.end(last, 'hard')
    // It has ended, and the page asks for another one.
    await page.getByText('ready', { exact: true }).waitFor({ state: 'detached' })
    await page.getByText('ready', { exact: true }).waitFor()
  })
})
