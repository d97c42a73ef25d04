import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, test } from 'vitest'
import { imageMaster } from '../tools/image-master.ts'
import { minio } from '../tools/s3-servers.ts'

const suite = execFileSync(join(import.meta.dirname, '../../contrib/dev/find-conformance'), { encoding: 'utf8' }).trim()
const onMinio = suite === '' ? undefined : await minio()
afterAll(async () => {
  await onMinio?.[Symbol.asyncDispose]()
})

const missing = suite === '' ? ' (skipped: no OCI conformance suite; contrib/dev/setup --images)' : ''
describe.skipIf(suite === '')(`the OCI conformance suite${missing}`, () => {
  test('passes on a directory', async () => {
    await conforms({})
  })

  test.skipIf(onMinio === undefined)('passes on MinIO', async () => {
    const { endpoint } = onMinio!.place('images') as { endpoint: string }
    await conforms({ SHADOW_STORAGE: `${endpoint.replace('://', '://shadowtest:shadowtestsecret@')}/images` })
  })
})

/** Runs all of the suite's tests, those of optional calls too, against a master. */
async function conforms(settings: Record<string, string>): Promise<void> {
  await using on = await imageMaster(settings)
  const { isPassed, output } = await run({
    OCI_REGISTRY: on.master.address,
    OCI_TLS: 'disabled',
    OCI_USERNAME: 'anna',
    OCI_PASSWORD: await on.master.token('admin'),
    OCI_RESULTS_DIR: join(on.data, 'results'),
    OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
    OCI_API_BLOBS_DIGEST_HEADER: 'true',
    OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
    OCI_API_MANIFESTS_TAG_PARAM: 'true',
  })
  const counts = Object.fromEntries([...output.matchAll(/^ {2}(\w+)\.+: +(\d+)$/gm)].map(([, name, n]) => [name, +n!]))
  assert.ok(isPassed, output.slice(-4_000))
  assert.deepEqual([counts['FAIL'], counts['Error'], counts['Skip'], counts['Disabled']], [0, 0, 0, 0])
  assert.ok(counts['Pass']! > 900, JSON.stringify(counts))
}

function run(env: Record<string, string>): Promise<{ isPassed: boolean; output: string }> {
  return new Promise(resolve => {
    execFile(suite, { env: { ...process.env, ...env }, maxBuffer: 2 ** 28 }, (error, stdout, stderr) =>
      resolve({ isPassed: error === null, output: stdout + stderr }),
    )
  })
}
