import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { test } from 'vitest'
import { nvmeDevices } from './nvme.ts'

test('a disk is found by its serial number, once the kernel and udev have it, and its size is told', async () => {
  const folder = await mkdtemp(`${tmpdir()}/shadow-test-nvme-`)
  await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
  const [sys, dev] = [`${folder}/sys`, `${folder}/dev`]
  await mkdir(dev, { recursive: true })
  const add = async (name: string, serial: string): Promise<void> => {
    await mkdir(`${sys}/${name}/device`, { recursive: true })
    await writeFile(`${sys}/${name}/device/serial`, `${serial}\n`)
    await writeFile(`${sys}/${name}/size`, '4194304\n')
  }
  await add('nvme0n1', 'vol00000000000000001')
  await add('nvme1n1', 'vol0123456789abcdef0 ')
  await add('loop0', 'vol0aaaaaaaaaaaaaaaa')
  await mkdir(`${sys}/nvme2n1`) // it goes away while it is looked at
  const devices = nvmeDevices({ sys, dev })

  assert.equal(await devices.find('vol-0123456789abcdef0'), undefined)
  await writeFile(`${dev}/nvme1n1`, '')
  const device = await devices.find('vol-0123456789abcdef0')
  assert.equal(device, `${dev}/nvme1n1`)
  assert.equal(device && (await devices.bytes(device)), 2 * 2 ** 30)
  assert.equal(await devices.find('vol-0aaaaaaaaaaaaaaaa'), undefined)
  assert.equal(await nvmeDevices({ sys: `${folder}/no`, dev }).find('vol-1'), undefined)
})
