import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { explain } from '../../src/cli/explain.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const MIB = 2 ** 20
const SERVES = 'exec httpd -f -p 8000 -h /srv'
let shadow: Shadow
let image: string
beforeAll(async () => {
  shadow = await Shadow.start()
  image = await busyboxImage()
})
afterAll(() => shadow?.[Symbol.asyncDispose]())

const why = async (app: string, on = shadow) =>
  explain(await on.admin.call('getApp', { params: { app } }), await on.instance(app), [], on.clock.wall()).join('\n')
const registered = (app: string, script: string, more: object = {}, on = shadow) =>
  on.register(app, { image, command: ['sh', '-c', script], sleep: { grace: '10s', idleAfter: 'never' }, ...more })

test('an app that writes too much into its container is stopped, and why, status and log say so', async () => {
  // Not as fast as the machine can: it is looked at every few seconds.
  const writes = 'while :; do head -c 10000000 /dev/zero; sleep 0.1; done > /tmp/f'
  await registered('writer', `(sleep 1; ${writes}) & ${SERVES}`, { limits: { disk: '100MiB' } })
  await shadow.wake('writer')
  const view = await shadow.until('writer', 'crashed')
  expect(view.problem?.detail).toMatch(/^writer was stopped: it had written .*MiB into its container, of 100MiB/)
  expect(view.problem?.hint).toContain('--disk')
  expect(await why('writer')).toContain('of 100MiB that it may')
  await shadow.untilLogged('writer', /it had written .* into its container/)
  expect(await shadow.containers('writer')).toEqual([])
  const [, number = '', unit] = /written ([\d.]+)(MiB|GiB)/.exec(view.problem?.detail ?? '') ?? []
  expect(unit === 'GiB' ? Number(number) * 1024 : Number(number)).toBeLessThan(1024)
}, 60_000)

test('one that writes before it is ready is stopped too, without its grace', async () => {
  await registered('early', 'trap "" TERM; cat /dev/zero > /tmp/f', { limits: { disk: '50MiB' } })
  await expect(shadow.wake('early')).rejects.toMatchObject({
    code: 'app-crashed',
    message: expect.stringContaining('50MiB'),
  })
}, 60_000)

test('files that were deleted while they are open count', async () => {
  await registered('hidden', `(sleep 1; exec 3>/tmp/f; rm /tmp/f; cat /dev/zero >&3) & ${SERVES}`, {
    limits: { disk: '100MiB' },
  })
  await shadow.wake('hidden')
  expect((await shadow.until('hidden', 'crashed')).problem?.detail).toContain('of 100MiB')
}, 60_000)

test('what it writes on its volume, and what is below its limit, is let be', async () => {
  const script = `dd if=/dev/zero of=/tmp/f bs=1M count=60; dd if=/dev/zero of=/data/f bs=1M count=200; ${SERVES}`
  await registered('modest', script, { limits: { disk: '100MiB' }, volume: { size: '256MiB' } })
  await shadow.wake('modest')
  // It may have been measured while it was still writing.
  const { diskBytes } = await shadow.until('modest', view => (view.diskBytes ?? 0) > 59 * MIB)
  expect(diskBytes).toBeLessThan(70 * MIB)
  expect((await shadow.instance('modest')).phase).toBe('awake')
  await shadow.sleep('modest')
}, 60_000)

test("a volume that an image asks for elsewhere counts as the container's, and goes with it", async () => {
  const name = 'asks-for-volume'
  const asking = await builtImage(name, 'VOLUME /var/lib/db')
  await registered('asker', `(sleep 1; cat /dev/zero > /var/lib/db/f) & ${SERVES}`, {
    image: asking,
    limits: { disk: '100MiB' },
  })
  const { container } = await shadow.wake('asker')
  const format = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Type}} {{.Name}}{{end}}{{end}}'
  const told = execFileSync('docker', ['inspect', '--format', format, container?.id ?? ''], { encoding: 'utf8' })
  const [type, volume = ''] = told.trim().split(' ')
  expect(type).toBe('volume')
  expect((await shadow.until('asker', 'crashed')).problem?.detail).toContain('of 100MiB')
  expect(execFileSync('docker', ['volume', 'ls', '--quiet', '--filter', `name=${volume}`], { encoding: 'utf8' })).toBe(
    '',
  )
}, 60_000)

test('how full a volume is is told, and from 90 % on warned of', async () => {
  await registered('full', SERVES, { volume: { size: '64MiB' } })
  await shadow.wake('full')
  const { volume } = await shadow.instance('full')
  expect(volume?.sizeBytes).toBeGreaterThan(50 * MIB)
  expect(volume?.usedBytes).toBeLessThan(5 * MIB)
  expect(await why('full')).not.toContain('full:')
  writeFileSync(join(shadow.data, 'volumes/full/mnt/f'), Buffer.alloc(Math.round(0.92 * (volume?.sizeBytes ?? 0)), 1))
  expect(await why('full')).toMatch(/Its volume is 9\d % full: .* --volume SIZE/)
  await shadow.untilLogged('full', /its volume is 9\d % full/)
  const used = async () => (await shadow.admin.call('listVolumes', {})).items.find(({ id }) => id === 'full')?.use
  expect((await used())?.usedBytes).toBeGreaterThan(45 * MIB)
  await shadow.sleep('full')
  expect(await used()).toMatchObject({
    usedBytes: expect.closeTo((await shadow.instance('full')).volume?.usedBytes ?? 0, -7),
  })
  expect(await why('full')).toMatch(/Its volume is 9\d % full/)
}, 60_000)

test('before the disk of the machine is full, the app that fills it is stopped, by its container or its volume', async () => {
  const data = `${shadow.data}-small`
  mkdirSync(data)
  execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=400m', 'tmpfs', data])
  try {
    await using small = await Shadow.start({ data, env: { SHADOW_DISK_FLOOR: '100MiB' } })
    await registered('calm', SERVES, { volume: { size: '300MiB' } }, small)
    await registered(
      'filler',
      `(sleep 1; dd if=/dev/zero of=/data/f bs=64k count=6000) & ${SERVES}`,
      { volume: { size: '380MiB' } },
      small,
    )
    await small.wake('calm')
    await small.wake('filler')
    const view = await small.until('filler', 'crashed')
    expect(view.problem?.detail).toMatch(/filler was stopped: it had just written .*100MiB that are kept free/)
    expect(view.problem?.hint).toContain('SHADOW_DISK_FLOOR')
    expect((await small.instance('calm')).phase).toBe('awake')
    expect(statSync(`${data}/volumes/filler/image.ext4`).size).toBe(380 * MIB)
  } finally {
    execFileSync('/bin/umount', [data])
    rmSync(data, { recursive: true })
  }
}, 60_000)
