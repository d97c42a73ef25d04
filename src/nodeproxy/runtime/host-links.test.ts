import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { HostLinks } from './host-links.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'links-'))
  await mkdir(`${root}/net/br-1/brif`, { recursive: true })
  await setting('br-1')
})
afterEach(() => rm(root, { recursive: true }))

const fileOf = (link: string): string => `${root}/conf/${link}/disable_ipv6`
const isOff = async (link: string): Promise<boolean> => (await readFile(fileOf(link), 'utf8')) === '1'

async function setting(link: string): Promise<void> {
  await mkdir(`${root}/conf/${link}`, { recursive: true })
  await writeFile(fileOf(link), '0\n')
}

async function added(link: string): Promise<void> {
  await setting(link)
  await mkdir(`${root}/net/br-1/brif/${link}`)
}

test('the bridge and each of its links lose IPv6', async () => {
  const links = new HostLinks({ net: `${root}/net`, conf: `${root}/conf` })
  await added('veth1')
  await links.takeIPv6Off('br-1')
  assert.deepEqual([await isOff('br-1'), await isOff('veth1')], [true, true])
  await added('veth2')
  await links.takeIPv6Off('br-1')
  assert.equal(await isOff('veth2'), true)
})

test('a link is looked at once, so that a start costs no more where many apps run', async () => {
  const links = new HostLinks({ net: `${root}/net`, conf: `${root}/conf` })
  await added('veth1')
  await links.takeIPv6Off('br-1')
  await writeFile(fileOf('veth1'), '0\n') // what nobody does
  await links.takeIPv6Off('br-1')
  assert.equal(await isOff('veth1'), false)
})

test('a link that comes again under a name of before is another one', async () => {
  const links = new HostLinks({ net: `${root}/net`, conf: `${root}/conf` })
  await added('veth1')
  await links.takeIPv6Off('br-1')
  await rm(`${root}/net/br-1/brif/veth1`, { recursive: true })
  await links.takeIPv6Off('br-1')
  await added('veth1')
  await links.takeIPv6Off('br-1')
  assert.equal(await isOff('veth1'), true)
})

test('a bridge on another machine needs nothing', async () => {
  const links = new HostLinks({ net: `${root}/net`, conf: `${root}/conf` })
  await links.takeIPv6Off('br-2')
})
