import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, test } from 'vitest'
import { Browser } from '../../testing/browser.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-pages-'))
const folder = join(path, 'dashboard')
const SCRIPT = `console.log(${JSON.stringify('x'.repeat(2_000))})`
const HTML = { accept: 'text/html,application/xhtml+xml;q=0.9' }
let on: TestMaster
let bare: TestMaster
let browser: Browser
beforeAll(async () => {
  await mkdir(join(folder, 'assets'), { recursive: true })
  const files = {
    'index.html': '<title>index</title>',
    'terminal.html': '<title>terminal</title>',
    'icon.svg': '<svg/>',
    'assets/app-1a2b.js': SCRIPT,
    'assets/app-1a2b.js.br': brotliCompressSync(SCRIPT),
    'assets/app-1a2b.js.gz': gzipSync(SCRIPT),
    'assets/plain-3c4d.css': 'a{}',
    '.hidden.js': 'no',
    'assets/.hidden.js': 'no',
    '../secret.txt': 'no',
    '../dashboard-other.js': 'no',
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  const open = async (pages: string) =>
    testMaster(await directory({ path: join(path, 'store') }), undefined, undefined, { pages })
  on = await open(folder)
  bare = await open(join(path, 'not-built'))
  browser = new Browser(on)
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await bare[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const STRICT =
  "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'self'"

for (const [at, title, style] of [
  ['/', 'index', ''],
  ['/?x=1', 'index', ''],
  ['/apps/blog', 'index', ''],
  ['/apps/blog.2/logs', 'index', ''],
  ['/terminal', 'index', ''],
  ['/terminal/blog', 'terminal', " 'unsafe-inline'"],
  ['/terminal.html', 'terminal', " 'unsafe-inline'"],
] as const)
  test(`a browser that opens ${at} gets the document ${title}, with its policy`, async () => {
    const { status, headers, text } = await browser.send('GET', at, { from: 'typed', headers: HTML })
    assert.deepEqual([status, text], [200, `<title>${title}</title>`])
    assert.equal(headers['content-security-policy'], `${STRICT}${style}`)
    assert.equal(headers['content-type'], 'text/html; charset=utf-8')
    assert.equal(headers['cache-control'], 'no-cache')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
    assert.match(String(headers['permissions-policy']), /camera=\(\)/)
    const again = await browser.send('GET', at, { headers: { ...HTML, 'if-none-match': String(headers['etag']) } })
    assert.deepEqual([again.status, again.text], [304, ''])
    const head = await browser.send('HEAD', at, { headers: HTML })
    assert.deepEqual([head.status, head.text, head.headers['etag']], [200, '', headers['etag']])
  })

test('an asset may be kept for ever, and comes in the smallest form that the client takes', async () => {
  for (const [accepts, encoding, unpack] of [
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['gzip', 'gzip', gunzipSync],
    ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
    ['identity', undefined, (bytes: Buffer) => bytes],
  ] as const) {
    const { status, headers, body } = await browser.open('GET', '/assets/app-1a2b.js', {
      headers: { 'accept-encoding': accepts },
    })
    assert.equal(status, 200)
    assert.equal(headers['content-encoding'], encoding)
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(headers['vary'], 'Accept-Encoding')
    assert.equal(unpack(await buffer(body)).toString(), SCRIPT)
  }
})

test('a file without packed forms comes as it is', async () => {
  const css = await browser.send('GET', '/assets/plain-3c4d.css', { headers: { 'accept-encoding': 'br, gzip' } })
  assert.deepEqual([css.status, css.text, css.headers['content-encoding']], [200, 'a{}', undefined])
  const icon = await browser.send('GET', '/icon.svg')
  assert.deepEqual(
    [icon.text, icon.headers['content-type'], icon.headers['cache-control']],
    ['<svg/>', 'image/svg+xml', 'no-cache'],
  )
})

for (const at of ['/assets/gone-1a2b.js', '/assets/', '/assets/app-1a2b.js.br', '/assets/app-1a2b.js/x'])
  test(`${at} is no asset, also for a browser`, async () => {
    const { status, headers, body } = await browser.send('GET', at, { headers: HTML })
    assert.deepEqual([status, body['code']], [404, 'not-found'])
    assert.equal(headers['content-type'], 'application/problem+json')
  })

for (const at of [
  '/../secret.txt',
  '/assets/../../secret.txt',
  '/assets/..%2f..%2fsecret.txt',
  '/%2e%2e/secret.txt',
  '/..\\secret.txt',
  '//secret.txt',
  '/../dashboard-other.js',
  '/.hidden.js',
  '/assets/.hidden.js',
  `${'/assets'}/\0`.replace('\0', '%00'),
])
  test(`${at} leads to no file`, async () => {
    for (const headers of [HTML, {}]) {
      const { status, text } = await browser.send('GET', at, { headers })
      assert.ok(!text.includes('no\n') && text !== 'no', text)
      assert.ok([200, 401, 404].includes(status))
      if (status === 200) assert.equal(text, '<title>index</title>')
    }
  })

test('paths of the API keep their answers, also for a browser', async () => {
  for (const at of ['/v1', '/v1/nothing', '/V1/nothing', '/v1/apps', '/openapi.json', '/v2/']) {
    const { status, headers } = await browser.send('GET', at, { headers: HTML })
    assert.equal(status, 401, at)
    assert.match(String(headers['content-type']), /json/)
  }
  assert.equal((await browser.send('POST', '/', { headers: HTML })).status, 401)
  assert.equal((await on.http('GET', '/v1/nothing')).status, 404)
})

test('a program that asks for an unknown path is told so', async () => {
  const { status, body } = await on.http('GET', '/nothing', { headers: { accept: '*/*' } })
  assert.deepEqual([status, (body as { code: string }).code], [404, 'not-found'])
})

test('where the dashboard was not built, a page says how', async () => {
  const { status, text, headers } = await new Browser(bare).send('GET', '/apps/blog', { headers: HTML })
  assert.equal(status, 200)
  assert.match(text, /npm run build/)
  assert.equal(headers['content-security-policy'], STRICT)
})

test('to open a page, or a file of it, asks the store nothing, so it wakes nothing', async () => {
  const counting = countingStorage(await directory({ path: join(path, 'counted') }))
  await using counted = await testMaster(counting.storage, undefined, undefined, { pages: folder })
  await counting.settled()
  const before = counting.calls.length
  for (const at of ['/', '/apps/blog', '/terminal/blog', '/assets/app-1a2b.js', '/assets/gone.js'])
    await new Browser(counted).send('GET', at, { headers: HTML })
  await counting.settled()
  assert.deepEqual(counting.calls.slice(before), [])
})
