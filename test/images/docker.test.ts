import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, test } from 'vitest'
import { type ImageMaster, imageMaster } from '../tools/image-master.ts'
import { hasProgram } from '../tools/programs.ts'
import { RegistryClient } from '../tools/registry-client.ts'

const MIB = 2 ** 20
const run = promisify(execFile)
let on: ImageMaster
let host: string
let token: string
let client: RegistryClient
beforeAll(async () => {
  on = await imageMaster()
  host = on.master.address
  token = await on.master.token('admin')
  client = await RegistryClient.open()
})
afterAll(async () => {
  await client[Symbol.asyncDispose]()
  await on[Symbol.asyncDispose]()
})

test('docker logs in, pushes and pulls; layers that are there are not sent again', async () => {
  await assert.rejects(client.login(host, 'wrong'), /401 Unauthorized/)
  await client.login(host, await on.master.token('proxy'))
  const denied = /denied: a token of the role proxy may not push or pull images \(it takes a token of the role admin/
  await assert.rejects(client.docker('pull', `${host}/blog:1`), denied)
  assert.match(await client.login(host, token), /Login Succeeded/)

  const big = 'RUN dd if=/dev/urandom of=/big bs=1M count=104 2>/dev/null'
  const one = await client.build(`${host}/blog:1`, big)
  const two = await client.build(`${host}/blog:2`, big, 'RUN echo two > /two')
  const peak = await peakOf(() => client.docker('push', one))
  assert.ok(peak < 16 * MIB, `${Math.round(peak / MIB)} MiB of buffers for a push of 104 MiB`)
  assert.match(await client.docker('push', two), /Layer already exists/)
  const other = `${host}/shop/deeper/web:2`
  await client.tag(two, other)
  assert.match(await client.docker('push', other), /Mounted from blog/)

  const id = await client.idOf(two)
  await client.forget()
  const peakOfPull = await peakOf(() => client.docker('pull', two))
  assert.ok(peakOfPull < 16 * MIB, `${Math.round(peakOfPull / MIB)} MiB of buffers for a pull of 104 MiB`)
  assert.equal(await client.idOf(two), id)
  const digest = /sha256:[0-9a-f]{64}/.exec(await client.docker('pull', one))?.[0]
  await client.docker('pull', `${host}/blog@${digest}`)
})

test.skipIf(!hasProgram('skopeo'))('skopeo copies an image out, and into another repository', async () => {
  const small = await client.build(`${host}/blog:small`, 'RUN echo small > /small')
  await client.login(host, token)
  await client.docker('push', small)
  const credentials = `anna:${token}`
  const layout = `oci:${client.folder}/layout:small`
  await run('skopeo', ['copy', '--src-tls-verify=false', '--src-creds', credentials, `docker://${small}`, layout])
  const copy = `docker://${host}/copied/here:small`
  await run('skopeo', ['copy', '--dest-tls-verify=false', '--dest-creds', credentials, layout, copy])
  const { stdout } = await run('skopeo', ['inspect', '--tls-verify=false', '--creds', credentials, copy])
  assert.deepEqual(JSON.parse(stdout).RepoTags, ['small'])
  const listed = await run('skopeo', [
    'list-tags',
    '--tls-verify=false',
    '--creds',
    credentials,
    `docker://${host}/blog`,
  ])
  assert.ok(JSON.parse(listed.stdout).Tags.includes('small'))
})

/** The most bytes that were in buffers in use by this process while the call ran, beyond those before it. */
async function peakOf(call: () => Promise<unknown>): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const buffers = (): number => {
    // V8 frees the memory of buffers beside the program, and counts it as free at the start of the next collection.
    collect()
    collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = buffers()
  let most = before
  const watch = setInterval(() => {
    most = Math.max(most, buffers())
  }, 1_000)
  await call().finally(() => clearInterval(watch))
  return most - before
}
