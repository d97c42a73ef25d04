import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import { Shadow } from '../tools/shadow.ts'
import { zramSwap } from '../tools/zram.ts'

const suspend = (shadow: Shadow, app: string) =>
  shadow.admin.call('sleepApp', { params: { app }, query: { to: 'suspended' }, signal: AbortSignal.timeout(60_000) })

/** The memory of the app's container as Docker tells it, in bytes. */
async function memoryOf(shadow: Shadow, app: string): Promise<number> {
  const [id = ''] = await shadow.containers(app)
  const { stdout } = await promisify(execFile)('docker', ['stats', '--no-stream', '--format', '{{.MemUsage}}', id])
  const [, number = '', unit = ''] = /^([\d.]+)([KMG]?i?B)/.exec(stdout) ?? []
  return Number(number) * ({ B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[unit] ?? Number.NaN)
}

test('the memory of a suspended app is in swap, and is there again at the next request', async context => {
  await using swap = await zramSwap()
  if (swap === undefined) return context.skip('this machine cannot have swap in zram')
  await using shadow = await Shadow.start()
  await shadow.register('blog', {
    volume: { size: '16MiB' },
    sleep: { freezeAfter: '1m', suspendAfter: '2m' },
  })
  const boot = JSON.parse((await shadow.ask('blog')).text).boot.id
  await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
  const before = await memoryOf(shadow, 'blog')
  await shadow.pass(60_000)
  await shadow.until('blog', 'frozen')
  await shadow.pass(60_000)
  await shadow.until('blog', 'suspended')
  const after = await memoryOf(shadow, 'blog')
  assert.ok(after < before / 3, `${after} of ${before} bytes are left`)
  const answer = await shadow.ask('blog')
  assert.deepEqual([answer.status, JSON.parse(answer.text).boot.id], [200, boot])
  assert.equal((await shadow.ask('blog', '/files/page')).text, 'kept')

  // A node that begins anew finds it, and it serves on.
  assert.equal((await suspend(shadow, 'blog')).phase, 'suspended')
  await shadow.stop()
  await shadow.startAgain()
  assert.equal(JSON.parse((await shadow.ask('blog')).text).boot.id, boot)
  await suspend(shadow, 'blog')
  assert.equal((await shadow.sleep('blog')).phase, 'asleep')
  assert.equal((await shadow.ask('blog', '/files/page')).text, 'kept')
})

test('an app that was woken from parked is suspended as others are: by its times and by hand, over a restart of its node', async context => {
  await using swap = await zramSwap()
  if (swap === undefined) return context.skip('this machine cannot have swap in zram')
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { freezeAfter: '1m', suspendAfter: '2m' } })
  const park = () => shadow.admin.call('sleepApp', { params: { app: 'blog' }, query: { to: 'parked' } })
  const bootOf = async (): Promise<string> => JSON.parse((await shadow.ask('blog')).text).boot.id
  assert.equal((await park()).parked, true)
  const boot = await bootOf()
  await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
  const before = await memoryOf(shadow, 'blog')
  await shadow.pass(60_000)
  await shadow.until('blog', 'frozen')
  await shadow.pass(60_000)
  await shadow.until('blog', 'suspended')
  const after = await memoryOf(shadow, 'blog')
  assert.ok(after < before / 3, `${after} of ${before} bytes are left`)
  assert.equal(await bootOf(), boot)
  assert.equal((await suspend(shadow, 'blog')).phase, 'suspended')
  await shadow.stop()
  await shadow.startAgain()
  assert.equal(await bootOf(), boot)
  assert.equal((await suspend(shadow, 'blog')).phase, 'suspended')
  // A suspended app is put to sleep before it is parked again.
  assert.equal((await park()).parked, true)
  assert.equal((await shadow.ask('blog', '/files/page')).text, 'kept')
  assert.notEqual(await bootOf(), boot)
})

test('a suspended app keeps its connections, and its lookups of names go on, though the clock of the machine was set meanwhile', async context => {
  await using swap = await zramSwap()
  if (swap === undefined) return context.skip('this machine cannot have swap in zram')
  const server = createServer(socket => socket.on('error', () => undefined).pipe(socket)).listen(0, '0.0.0.0')
  await once(server, 'listening')
  // Without rules, an app reaches the machine itself.
  await using shadow = await Shadow.start({ env: { SHADOW_EGRESS: 'off' } })
  await shadow.register('blog', {})
  const boot = (await shadow.ask('blog')).json.boot.id
  const subnet = '{{(index .IPAM.Config 0).Subnet}}'
  const of = ['network', 'inspect', '--format', subnet, `shadow-${shadow.node}`]
  const gateway = (await promisify(execFile)('docker', of)).stdout.replace(/0\/\d+\n$/, '1')
  const { port } = server.address() as AddressInfo
  assert.equal((await shadow.ask('blog', `/wire?host=${gateway}&port=${port}`)).text, '{}\n')
  assert.equal((await shadow.ask('blog', '/wire/say?line=before')).text, 'before\n')
  assert.equal((await suspend(shadow, 'blog')).phase, 'suspended')
  shadow.clock.setWall(86_400_000)
  await shadow.spoken()
  assert.equal((await shadow.instance('blog')).phase, 'suspended')
  assert.equal((await shadow.ask('blog', '/wire/say?line=after')).text, 'after\n')
  assert.equal((await shadow.ask('blog', '/lookup')).json.length, 1)
  assert.equal((await shadow.ask('blog')).json.boot.id, boot)
  server.close()
})

test('a suspended app that runs out of memory as it goes on is told so to that request, and the next one starts it anew with its data', async context => {
  await using swap = await zramSwap()
  if (swap === undefined) return context.skip('this machine cannot have swap in zram')
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' }, limits: { memory: '192MiB' } })
  const boot = (await shadow.ask('blog')).json.boot.id
  await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
  await shadow.ask('blog', `/eat?bytes=${80 * 2 ** 20}`)
  await suspend(shadow, 'blog')
  assert.ok((await memoryOf(shadow, 'blog')) < 40 * 2 ** 20)
  // What is in swap counts towards the limit of the container.
  const { status, json } = await shadow.ask('blog', `/eat?bytes=${160 * 2 ** 20}`)
  assert.deepEqual([status, json.code, json.facts], [502, 'app-crashed', { exitCode: 137, outOfMemory: 1 }])
  const { problem } = await shadow.until('blog', instance => instance.problem !== null)
  assert.match(JSON.stringify(problem), /more than its 192 ?MiB of memory/)
  const answer = await shadow.ask('blog', '/files/page')
  assert.deepEqual([answer.status, answer.text], [200, 'kept'])
  assert.notEqual((await shadow.ask('blog')).json.boot.id, boot)
  assert.equal((await shadow.containers('blog')).length, 1)
})

test('without swap an app stays frozen, and whoever asked is told', async context => {
  if ((await readFile('/proc/swaps', 'utf8')).trim().includes('\n')) return context.skip('this machine has swap')
  await using shadow = await Shadow.start()
  await shadow.register('blog', {})
  await shadow.ask('blog')
  await assert.rejects(suspend(shadow, 'blog'), error => isFailure(error, 'no-swap'))
  assert.equal((await shadow.instance('blog')).phase, 'frozen')
  assert.equal((await shadow.ask('blog')).status, 200)
})
