import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RegisterSchema } from '../../src/api/schemas.ts'
import { definitionOptions, toPatch, withoutNulls } from '../../src/cli/definition-flags.ts'
import { readManifest } from '../../src/cli/manifest/manifest.ts'
import { run } from '../../src/cli/run.ts'
import { commandOf, manifestOf } from '../../src/dashboard/pages/new/commands.ts'
import { definitionOf, EMPTY, type Values } from '../../src/dashboard/pages/new/definition.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { type Dashboard, openDashboard } from '../tools/dashboard.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'
import { WebTerminal } from '../tools/web-terminal.ts'

let shadow: Shadow
let dashboard: Dashboard
let page: Page
let image: string
beforeAll(async () => {
  shadow = await Shadow.start({ env: { SHADOW_PRICES: 'currency=EUR, memory-gib-hour=0.01' } })
  image = await builtImage('shell', 'CMD ["sh", "-c", "mkdir -p /srv; exec httpd -f -p $PORT -h /srv"]')
  await shadow.register('first', { image, volume: { size: '16MiB' }, sleep: { idleAfter: '30s' } })
  dashboard = await openDashboard(shadow)
  page = dashboard.page
})
afterAll(async () => {
  await dashboard?.[Symbol.asyncDispose]()
  await shadow[Symbol.asyncDispose]()
})

const button = (name: string | RegExp) => page.getByRole('button', { name })
const shows = (text: string | RegExp) => page.getByText(text).first().waitFor()
const dialog = () => page.getByRole('dialog')
const why = async (app: string): Promise<string> => {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  const terminal = new FakeTerminal({ env })
  await run(['why', app], terminal)
  return terminal.stdout
}

test('an app is made by the keyboard alone; faults stand at their fields, and what was typed stays', async () => {
  await dashboard.go('/new')
  await dashboard.mustBeFineEverywhere()
  const tab = () => page.keyboard.press('Tab')
  await page.getByLabel('Name', { exact: true }).focus()
  await page.keyboard.type('Second')
  await shows(/"S" at position 0/)
  await tab()
  await page.keyboard.type(image)
  await tab() // Command and port
  await page.keyboard.press('Enter')
  await tab()
  await page.keyboard.type('sh -c "mkdir -p /srv; exec httpd -f -p 9000 -h /srv"')
  await tab()
  await page.keyboard.type('9000')
  await shows(/--port 9000 -- sh -c 'mkdir -p \/srv; exec httpd/)
  await shows(/command = \["sh", "-c", /)
  await page.keyboard.press('Enter')
  await page.getByRole('alert').waitFor()
  const name = page.getByLabel('Name', { exact: true })
  assert.equal(await name.getAttribute('aria-invalid'), 'true')
  await dashboard.mustBeAccessible()
  assert.equal(await page.getByLabel('Port', { exact: true }).inputValue(), '9000')
  await name.focus()
  await page.keyboard.press('Control+A')
  await page.keyboard.type('second')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'second' }).waitFor()
  assert.equal(new URL(page.url()).pathname, '/apps/second')
  const app = await shadow.admin.call('getApp', { params: { app: 'second' } })
  assert.deepEqual([app.task.port, app.task.command?.[0], app.task.image], [9000, 'sh', image])
  assert.equal((await shadow.instance('second')).phase, 'asleep')
})

test('nodes: state and load, what runs there, cordon, drain, uncordon, and what a removal would lose', async () => {
  await shadow.wake('first')
  await dashboard.go('/nodes')
  await page.getByRole('link', { name: 'first' }).waitFor()
  await shows('Memory reserved')
  await shows('No front runs a fleet.')
  await dashboard.mustBeFineEverywhere()
  await button(`Cordon ${shadow.node}`).click()
  await dialog().getByText(`shadow node cordon ${shadow.node}`).waitFor()
  await dashboard.mustBeAccessible()
  await dialog().getByRole('button', { name: 'Cordon', exact: true }).click()
  await shows('healthy, cordoned')
  await button(`Drain ${shadow.node}`).click()
  await dialog().getByRole('button', { name: 'Drain', exact: true }).click()
  await dialog().getByText('volumes-stay').waitFor()
  await dialog()
    .getByLabel(/Apps whose volume/)
    .selectOption('keep')
  await dialog().getByText('--deadline 5m --keep-volumes').waitFor()
  await dialog().getByRole('button', { name: 'Drain', exact: true }).click()
  await dialog().waitFor({ state: 'detached' })
  await shows(/drained|draining/)
  await button(`Remove ${shadow.node}`).click()
  const remove = dialog().getByRole('button', { name: 'Remove the node', exact: true })
  await dialog()
    .getByText(/(is|are) on the disk of/)
    .waitFor()
  assert.equal(await remove.isDisabled(), true)
  await dialog()
    .getByLabel(/gone for good/)
    .check()
  await dialog()
    .getByText(/is not gone: it announced itself lately/)
    .waitFor()
  await dialog().getByRole('button', { name: 'Cancel', exact: true }).click()
  await button(`Uncordon ${shadow.node}`).click()
  await dialog().getByRole('button', { name: 'Uncordon', exact: true }).click()
  await page.locator('.state.healthy').waitFor()
  assert.equal((await shadow.admin.call('listNodes', {})).items[0]?.cordon, undefined)
})

test('a node that is gone is removed once its name is typed, and what is lost with it is shown first', async () => {
  await shadow.register('stranded', { image, volume: { size: '16MiB' } })
  await shadow.admin.call('leaseVolume', { params: { volume: 'stranded' }, body: { node: 'dead-node' } })
  await shadow.admin.call('announceNode', { params: { node: 'dead-node' }, body: DEAD_NODE })
  await shadow.pass(30_000)
  await dashboard.go('/nodes')
  await page.locator('.state.gone').waitFor()
  await button('Remove dead-node').click()
  await dialog()
    .getByText(/is on the disk of dead-node|are on the disk of dead-node/)
    .waitFor()
  await dialog()
    .getByLabel(/gone for good/)
    .check()
  await dialog().getByText('Lost: the volume stranded, 16MiB, of the app stranded').waitFor()
  await dialog().getByText('shadow node rm dead-node --lost').waitFor()
  await dashboard.mustBeAccessible()
  const remove = dialog().getByRole('button', { name: 'Remove the node' })
  assert.equal(await remove.isDisabled(), true)
  await dialog()
    .getByLabel(/to confirm/)
    .fill('dead-node')
  await remove.click()
  await page.locator('.state.gone').waitFor({ state: 'detached' })
  assert.deepEqual(
    (await shadow.admin.call('listNodes', {})).items.map(({ name }) => name),
    [shadow.node],
  )
})

test('usage: by app and owner, sorted, as CSV; a budget is set and removed', async () => {
  await shadow.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['first'] } })
  await shadow.eventually(async () => {
    await shadow.pass(60_000)
    return (await shadow.admin.call('getUsage', {})).items.some(({ awakeSeconds }) => awakeSeconds > 0)
  })
  await dashboard.go('/usage')
  await page.getByRole('rowheader', { name: 'first' }).waitFor()
  await shows('Saved by sleep')
  await dashboard.mustBeFineEverywhere()
  await button('Awake').click()
  await page
    .getByRole('columnheader', { name: 'Awake', exact: false })
    .and(page.locator('[aria-sort="descending"]'))
    .waitFor()
  assert.equal(new URL(page.url()).searchParams.get('sort'), 'awake')
  await button('Owners').click()
  await page.getByRole('rowheader', { name: 'ann' }).waitFor()
  const [download] = await Promise.all([page.waitForEvent('download'), button('Download CSV').click()])
  const csv = await readFile(await download.path(), 'utf8')
  assert.match(csv, /^month,app,owner,awakeSeconds/)
  assert.match(csv, /,first,ann,/)
  await page.getByLabel('Month', { exact: true }).selectOption({ index: 1 })
  await shows(/No app has used anything in/)
  await button('Set a budget').click()
  await dialog().getByLabel('Name', { exact: true }).fill('first')
  await dialog().getByLabel('Awake hours', { exact: true }).fill('100')
  await dialog().getByText('shadow budget set first --awake 100h').waitFor()
  await dashboard.mustBeAccessible()
  await dialog().getByRole('button', { name: 'Set the budget', exact: true }).click()
  await shows(/of 100h awake/)
  await button('Remove the budget of first').click()
  await dialog().getByRole('button', { name: 'Remove the budget', exact: true }).click()
  await shows('No budget is set.')
})

test('access: a token is shown once and revoked, keys are added and removed, owners have their patterns', async () => {
  await dashboard.go('/access')
  await page.getByRole('rowheader', { name: 'ann' }).first().waitFor()
  await dashboard.mustBeFineEverywhere()
  await button('Create a token').click()
  await dialog().getByLabel('Name', { exact: true }).fill('bob')
  await dialog().getByLabel('Role', { exact: true }).selectOption('owner')
  await dialog().getByLabel('Apps', { exact: true }).fill('bob-*\nsecond')
  await dialog().getByText("shadow token create bob --apps 'bob-*,second'").waitFor()
  await dialog().getByRole('button', { name: 'Create the token', exact: true }).click()
  const secret = (await dialog().locator('.secret-once code').textContent()) ?? ''
  await dashboard.mustBeAccessible()
  const listed = await fetch(`${shadow.up.masterUrl}/v1/apps`, { headers: { authorization: `Bearer ${secret}` } })
  assert.deepEqual(
    ((await listed.json()) as { items: { name: string }[] }).items.map(({ name }) => name),
    ['second'],
  )
  await dialog().getByRole('button', { name: 'Done', exact: true }).click()
  assert.equal(await page.getByText(secret).count(), 0)
  await page.getByRole('row', { name: /bob bob-\*, second/ }).waitFor()
  await button(/^Revoke the token bob/).click()
  await dialog().getByRole('button', { name: 'Revoke the token', exact: true }).click()
  await page.getByRole('row', { name: /^bob/ }).first().waitFor({ state: 'detached' })
  await button('Add a key').click()
  await dialog().getByLabel('Name', { exact: true }).fill('ann')
  await dialog().getByLabel('Public key', { exact: true }).fill('no key')
  await dialog().getByRole('button', { name: 'Add the key', exact: true }).click()
  await dialog().getByRole('alert').waitFor()
  await dialog().getByLabel('Public key', { exact: true }).fill(KEY)
  await dialog().getByRole('button', { name: 'Add the key', exact: true }).click()
  await shows(/^SHA256:/)
  await button('Remove the key ann').click()
  await dialog().getByRole('button', { name: 'Remove the key', exact: true }).click()
  await shows('No key opens an app yet.')
})

test('the terminal: its tab wakes nothing, its button does, it holds the app, and the app sleeps after it', async () => {
  await shadow.sleep('first')
  await dashboard.go('/apps/first/terminal')
  await shows('Nobody has a session in it.')
  await dashboard.mustBeFineEverywhere()
  const window = await dashboard.opened(() => page.getByRole('link', { name: 'Terminal in a new window' }).click())
  const open = window.getByRole('button', { name: 'Open a terminal (wakes the app)' })
  await open.waitFor()
  await dashboard.mustBeAccessible(window)
  assert.equal((await shadow.instance('first')).phase, 'asleep')
  await open.click()
  await window.getByText('Holds first awake').waitFor()
  await dashboard.mustBeAccessible(window)
  await window.keyboard.type('echo in-$((6*7))\n')
  await window.getByText('in-42').first().waitFor()
  await until(async () => ((await why('first')).includes('by token') ? true : undefined))
  await shows(/exec `sh -c/)
  /** The sizes that the shell has told so far. */
  const sizes = async (): Promise<readonly string[]> => {
    await window.keyboard.type('echo "<$(stty size)>"\n')
    const text: string = await window.evaluate('document.querySelector(".xterm-accessibility").textContent')
    return [...text.matchAll(/<(\d+ \d+)>/g)].map(([, size = '']) => size)
  }
  const first = await until(async () => (await sizes())[0])
  await window.setViewportSize({ width: 700, height: 500 })
  await until(async () => (await sizes()).some(size => size !== first) || undefined)
  // Ctrl-C is a signal only while a command runs: while the shell reads a line it is a character for that line.
  await window.keyboard.type('echo be""gun; sleep 7777; echo un""reached\n')
  await window.getByText('begun').first().waitFor()
  await window.keyboard.press('Control+C')
  await window.keyboard.type('exit 3\n')
  await window.getByText('exit code 3').waitFor()
  await window.close()
  await shadow.until('first', ({ holds }) => holds.length === 0)
  await shadow.pass(35_000)
  await shadow.until('first', 'asleep')
})

test('a page of another origin gets no terminal by the cookie', async () => {
  const cookies = (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join('; ')
  const url = `${dashboard.url}/v1/apps/first/terminal?wake=false`
  const open = (headers: Readonly<Record<string, string>>) =>
    WebTerminal.open({ url, headers: { cookie: cookies, ...headers } })
  await assert.rejects(open({ origin: 'http://evil.example' }), /403/)
  await assert.rejects(open({}), /403/)
  const own = await open({ origin: dashboard.url })
  assert.equal((await own.reply('failed')).failed.code, 'app-asleep')
})

test('no page had an error, or asked another host', () => {
  const expected = /Failed to load resource: the server responded with a status of (?:4\d\d|503)/
  assert.deepEqual(
    dashboard.faults.filter(fault => !expected.test(fault)),
    [],
  )
})

const FULL: Values = {
  name: 'blog',
  image: 'ghost:5',
  command: `node "my server.js" --name 'it''s' --empty ""`,
  port: '2368',
  'volume.size': '1GiB',
  'volume.path': '/var/lib/ghost',
  domains: 'blog.localhost\n\n www.example.com ',
  env: `GREETING=it's "fine" $HOME \\ ok\nEMPTY=\n`,
  secrets: 'KEY=a=b\nOTHER=x',
  'limits.memory': '256MiB',
  'limits.cpus': '0.5',
  'sleep.idleAfter': '90s',
}
const DEAD_NODE = {
  address: '127.0.0.1:9',
  key: 'k'.repeat(32),
  controlKey: 'c'.repeat(32),
  cpus: 2,
  memoryBytes: 2 ** 30,
  cpuUtilization: 0,
  memoryUtilization: 0,
  awake: 0,
}
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann'

/** The words that a shell makes of a command line. */
const byShell = (line: string): string[] =>
  execFileSync('sh', ['-c', `printf '%s\\0' ${line}`])
    .toString()
    .split('\0')
    .slice(0, -1)

/** What the CLI makes of the words behind `shadow register`. */
async function byCli(words: readonly string[]) {
  const command = definitionOptions(new Command().argument('<name>').argument('[command...]').option('--image <image>'))
  command.parse([...words], { from: 'user' })
  const [name, ...rest] = command.args
  return { name, ...withoutNulls(await toPatch(command.opts(), rest, { env: {}, err: () => undefined })) }
}

for (const [what, values] of [
  ['only what is needed', { ...EMPTY, name: 'a', image: 'busybox' }],
  ['everything', FULL],
] as const) {
  test(`the command with ${what} makes the same definition as the form`, async () => {
    const [register = ''] = commandOf(values).split(' && ')
    const [program, verb, ...words] = byShell(register)
    const { secrets: _, ...definition } = definitionOf(values)
    expect([program, verb]).toEqual(['shadow', 'register'])
    expect(await byCli(words)).toEqual(definition)
  })

  test(`the shadow.toml with ${what} makes the same definition as the form`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'new-app-'))
    try {
      const path = join(folder, 'shadow.toml')
      await writeFile(path, manifestOf(values))
      const { app, from, definition } = await readManifest({ path })
      const { name, secrets: _, ...body } = definitionOf(values)
      const whole = (of: object): unknown => RegisterSchema.parse({ name, ...of })
      expect(app).toBe(name)
      expect(from).toEqual({ kind: 'image', image: body.image })
      expect(whole({ ...definition, image: body.image })).toEqual(whole(body))
    } finally {
      await rm(folder, { recursive: true })
    }
  })
}
