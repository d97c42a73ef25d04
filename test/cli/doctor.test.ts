import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Finding } from '../../src/cli/doctor/finding.ts'
import { run as cli } from '../../src/cli/run.ts'
import { listen } from '../../src/lib/http/api/request-handler.ts'
import { validBetween } from '../../src/testing/certificates.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { smallS3 } from '../../src/testing/small-s3.ts'
import { storageSetting } from '../tools/cluster.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { Shadow, until } from '../tools/shadow.ts'

const run = promisify(execFile)
const DAY_MS = 86_400_000

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

type Env = Record<string, string>

/** What `shadow doctor` finds, and its exit code. */
async function doctor(words: readonly string[], env: Env = {}) {
  const now = Date.now()
  const ports = { SHADOW_LISTEN: '127.0.0.1:0', SHADOW_MASTER_LISTEN: '127.0.0.1:0', SHADOW_NODE_LISTEN: '127.0.0.1:0' }
  const given = { HOME: folder, ...ports, ...env }
  const terminal = new FakeTerminal({ env: given, now })
  const exit = await cli(['doctor', ...words, '--json'], terminal)
  const { findings } = JSON.parse(terminal.stdout) as { findings: Finding[] }
  const of = (check: string) => findings.filter(one => one.check === check)
  const text = new FakeTerminal({ env: given, now })
  return {
    exit,
    findings,
    of,
    problems: findings.filter(({ level }) => level === 'problem'),
    said: async () => {
      await cli(['doctor', ...words, '--quiet'], text)
      return text.stdout
    },
  }
}

test('a machine that is as it should be has no problem, before the first start and while Shadow runs', async () => {
  const before = await doctor(['--machine', '--data', join(folder, 'fresh')])
  assert.deepEqual(before.problems, [])
  assert.equal(before.exit, 0)
  for (const check of ['root', 'docker', 'loop devices', 'programs', 'packet filter', 'data folder', 'ports', 'store'])
    assert.ok(before.of(check).length > 0, check)
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' } })
  await shadow.wake('blog')
  const found = await doctor(['--data', shadow.data], { SHADOW_DATA: shadow.data, SHADOW_NODE_NAME: shadow.node })
  assert.deepEqual(found.problems, [])
  assert.equal(found.exit, 0)
  assert.deepEqual(
    found.of('ports').map(({ value }) => value),
    ['the front listens on it', 'the node listens on it', 'the master listens on it'],
  )
  assert.equal(found.of('nodes')[0]?.value, 'healthy')
  assert.match(found.of('backups')[0]?.mend ?? '', /^shadow backup blog now/)
})

test('Docker that is not there, a port that another program has, and settings that are wrong are told with the mend', async () => {
  await using other = await listen(createServer(), { host: '127.0.0.1', port: 0 })
  const env = { SHADOW_DOCKER_SOCKET: join(folder, 'no.sock'), SHADOW_LISTEN: other.address }
  const { exit, problems, said } = await doctor(['--machine', '--data', join(folder, 'fresh')], env)
  assert.equal(exit, 1)
  const [docker, port] = problems
  assert.deepEqual([docker?.check, docker?.where], ['docker', env.SHADOW_DOCKER_SOCKET])
  assert.match(docker?.mend ?? '', /apt-get install docker.io/)
  assert.deepEqual([port?.where, port?.value], [other.address, 'another program has it'])
  assert.match(port?.mend ?? '', /ss -ltnp .*SHADOW_LISTEN/)
  assert.match(await said(), /problem {2}docker: Docker: .*\n {9}mend: apt-get install docker.io/)
  const terminal = new FakeTerminal({ env: { SHADOW_WAITING_PER_APP: 'many' } })
  assert.equal(await cli(['doctor', '--machine', '--data', folder], terminal), 2)
  assert.match(terminal.stderr, /SHADOW_WAITING_PER_APP/)
})

test('a data folder in memory, and one without room, are told', async () => {
  const small = join(folder, 'small')
  await mkdir(small)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small])
  try {
    const { exit, of } = await doctor(['--machine', '--data', join(small, 'data')])
    assert.equal(exit, 1)
    const [kind, room] = of('data folder')
    assert.deepEqual([kind?.level, kind?.where], ['warning', small])
    assert.match(kind?.value ?? '', /tmpfs: all volumes are lost/)
    assert.match(room?.value ?? '', /less than SHADOW_DISK_FLOOR/)
    assert.match(room?.mend ?? '', /docker system df/)
  } finally {
    await run('umount', [small])
  }
})

test('a store that ignores conditional writes is found, and one that does not answer', async () => {
  await using careless = await smallS3({ ignores: ['if-none-match'] })
  const asked = ['--machine', '--role', 'master', '--data', join(folder, 'fresh')]
  const unfit = await doctor(asked, { SHADOW_STORAGE: storageSetting(careless.place) })
  assert.equal(unfit.exit, 1)
  assert.match(unfit.problems[0]?.value ?? '', /ignores If-None-Match: two masters would overwrite each other/)
  assert.match(unfit.problems[0]?.mend ?? '', /use a store with conditional writes/)
  await using good = await smallS3()
  const fit = await doctor(asked, { SHADOW_STORAGE: storageSetting(good.place) })
  assert.deepEqual(fit.problems, [])
  assert.equal(fit.of('store')[0]?.value, 'honoured')
  assert.equal(fit.of('clock')[0]?.value, 'the same')
  const away = await doctor(asked, { SHADOW_STORAGE: 'http://key:secret@127.0.0.1:9/bucket' })
  assert.equal(away.exit, 1)
  assert.doesNotMatch(JSON.stringify(away.findings), /secret@/)
})

test('a certificate that is over is a problem, one that ends soon a warning', async () => {
  const certificates = join(folder, 'certificates')
  await mkdir(certificates)
  const now = Date.now()
  for (const [name, end] of [
    ['over', now - DAY_MS],
    ['soon', now + 3 * DAY_MS],
    ['fine', now + 60 * DAY_MS],
  ] as const) {
    const { cert, key } = validBetween(now - 30 * DAY_MS, end, `${name}.example.com`)
    await writeFile(join(certificates, `${name}.crt`), cert)
    await writeFile(join(certificates, `${name}.key`), key)
  }
  const { exit, of } = await doctor(['--machine', '--role', 'proxy', '--data', join(folder, 'fresh')], {
    SHADOW_TLS_CERTIFICATES: certificates,
  })
  assert.equal(exit, 1)
  const levels = Object.fromEntries(of('certificates').map(({ what, level }) => [what.split(' ').at(-1), level]))
  assert.deepEqual(levels, { 'over.example.com': 'problem', 'soon.example.com': 'warning', 'fine.example.com': 'ok' })
})

test('what a node that does not run any more has left is found, and gone once the mend was done', async () => {
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' } })
  await shadow.wake('blog')
  await shadow.stop()
  const env = { SHADOW_NODE_NAME: shadow.node }
  const { exit, of } = await doctor(['--machine', '--data', shadow.data], env)
  assert.equal(exit, 1)
  const left = of('leftovers').filter(({ level }) => level === 'problem')
  assert.deepEqual(
    left.map(({ what }) => what),
    [
      `containers of the node ${shadow.node}, which does not run`,
      `mounts and loop devices of the node ${shadow.node}, which does not run`,
    ],
  )
  assert.match(left[1]?.where ?? '', new RegExp(`${shadow.data}/volumes/blog/`))
  await shadow.startAgain()
  const after = await doctor(['--machine', '--data', shadow.data], env)
  assert.deepEqual(
    after.of('leftovers').filter(({ level }) => level === 'problem'),
    [],
  )
})

test('in a cluster: an app that crashes, a nearly full volume, a hostname that leads nowhere, and a token that is refused', async () => {
  await using shadow = await Shadow.start()
  const at = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  await shadow.register('blog', { volume: { size: '16MiB' }, domains: ['nowhere.shadow-doctor.internal'] })
  await shadow.wake('blog')
  await writeFile(`${shadow.data}/volumes/blog/mnt/full`, Buffer.alloc(20_000_000)).catch(() => undefined) // as much as fits
  await shadow.register('shop', { command: ['node', '-e', 'process.exit(3)'] })
  await shadow.wake('shop').catch(() => undefined)
  // A master keeps what nodes say of their apps for a moment.
  const found = await until(async () => {
    const seen = await doctor(['--cluster'], at)
    return seen.of('apps').some(({ level }) => level === 'problem') ? seen : undefined
  })
  assert.equal(found.exit, 1)
  expect(found.of('apps')).toContainEqual(expect.objectContaining({ level: 'problem', where: 'shop' }))
  expect(found.of('volumes')).toContainEqual(
    expect.objectContaining({
      where: 'blog',
      what: 'a volume is nearly full',
      mend: expect.stringMatching(/volume grow blog/),
    }),
  )
  expect(found.of('domains')).toContainEqual(
    expect.objectContaining({ level: 'problem', where: 'nowhere.shadow-doctor.internal' }),
  )
  assert.equal(found.of('clock')[0]?.level, 'ok')
  const refused = await doctor(['--cluster'], { ...at, SHADOW_TOKEN: 'wrong' })
  assert.equal(refused.exit, 1)
  assert.match(refused.problems[0]?.value ?? '', /token/)
  const away = await doctor(['--cluster'], { ...at, SHADOW_URL: 'http://127.0.0.1:9' })
  assert.match(away.problems[0]?.value ?? '', /does not answer/)
})
