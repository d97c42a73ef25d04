import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { listen } from '../../lib/http/api/request-handler.ts'
import { noLog } from '../../lib/log.ts'
import { HandClock } from '../../testing/clock.ts'
import { dropletDevices, ownDroplet } from './droplet.ts'
import { openDigitalocean } from './open-digitalocean.ts'

const machine = { droplet: 1, region: 'fra1' }
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-digitalocean-'))
})
afterEach(() => rm(folder, { recursive: true }))

const opened = (tokenFile: string | undefined) =>
  openDigitalocean({ cluster: 'test', tokenFile, machine, clock: new HandClock(), log: noLog })
const refused = (tokenFile: string | undefined, message: RegExp) =>
  assert.rejects(opened(tokenFile), error => isFailure(error, 'bad-input') && message.test(error.message))

test('the driver needs a token, in a file that nobody else can read', async () => {
  const file = join(folder, 'token')
  await refused(undefined, /SHADOW_DIGITALOCEAN_TOKEN_FILE is not/)
  await refused(file, /there is no token in/)
  await writeFile(file, 'dop_v1_secret\n', { mode: 0o600 })
  await chmod(file, 0o644)
  await refused(file, /others may read or write it/)
  await chmod(file, 0o600)
  assert.equal((await opened(file)).zone, 'fra1')
})

test('the metadata service says which droplet this is; what else answers there is no droplet', async () => {
  let id = '3164444'
  const server = createServer(({ url }, response) => void response.end(url?.endsWith('/id') ? id : 'fra1'))
  await using metadata = await listen(server, { host: '127.0.0.1', port: 0 })
  const url = `http://${metadata.address}`
  assert.deepEqual(await ownDroplet(url), { droplet: 3_164_444, region: 'fra1' })
  id = '<html>'
  await assert.rejects(ownDroplet(url), error => isFailure(error, 'cloud-failed'))
})

test('the device of a disk is found by the name that udev gives it', async () => {
  const devices = dropletDevices({ byId: folder })
  assert.equal(await devices.find('shadow-1'), undefined)
  await writeFile(join(folder, 'sda'), '')
  await symlink(join(folder, 'sda'), join(folder, 'scsi-0DO_Volume_shadow-1'))
  assert.equal(await devices.find('shadow-1'), join(folder, 'sda'))
})
