import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { NOW, shadow } from '../testing/cli.ts'

const AT = new Date(NOW - 3_600_000).toISOString()
const monday = {
  id: 'monday',
  volume: 'blog',
  app: 'blog',
  state: 'ready',
  reason: 'asked',
  by: 'anna',
  takenAt: AT,
  node: 'n1',
  consistent: 'frozen',
  frozenMs: 12,
  size: '1GiB',
  bytes: 2 ** 20,
}

test('volume snapshot prints the name of the snapshot, and says how long writes waited', async () => {
  let body: unknown
  const { exit, terminal } = await shadow('volume snapshot blog --name monday --keep 7', {
    takeSnapshot: call => {
      body = call.body
      return monday
    },
  })
  assert.deepEqual([exit, body, terminal.stdout], [0, { name: 'monday', keep: 7 }, 'monday\n'])
  assert.equal(
    terminal.stderr,
    'the snapshot monday of blog is taken: its writes waited for 12ms; 1MiB on disk at most\n',
  )
})

test('volume snapshot --json prints the record and nothing else on stdout', async () => {
  const { terminal } = await shadow('volume snapshot blog --json', { takeSnapshot: () => monday })
  assert.deepEqual(JSON.parse(terminal.stdout), monday)
})

for (const keep of ['0', '101', 'x', '-1'])
  test(`--keep ${keep} is refused before the master is asked`, async () => {
    const { exit, terminal, calls } = await shadow(`volume snapshot blog --keep=${keep}`)
    assert.deepEqual([exit, calls.length], [2, 0])
    assert.match(terminal.stderr, /--keep/)
  })

test('volume snapshots lists them; one that is being stored says so', async () => {
  const { terminal } = await shadow('volume snapshots blog', {
    listSnapshots: () => ({ items: [monday, { ...monday, id: 'tuesday', state: 'storing', note: 'in the cloud' }] }),
  })
  assert.match(terminal.stdout, /monday .* 1MiB .* n1 .* anna .* its writes waited for 12ms/)
  assert.match(terminal.stdout, /tuesday .* being stored +in the cloud/)
})

test('volume rm-snapshot asks first, by the name; a dry run asks nothing and deletes nothing', async () => {
  const deleted: unknown[] = []
  const removeSnapshot = (call: { query: unknown }) => {
    deleted.push(call.query)
    return monday
  }
  const no = await shadow('volume rm-snapshot blog monday', { removeSnapshot }, ['tuesday'])
  assert.deepEqual([no.exit, deleted.length], [2, 1])
  const dry = await shadow('volume rm-snapshot blog monday --dry-run', { removeSnapshot })
  assert.deepEqual([dry.exit, deleted.length], [0, 2])
  assert.match(dry.terminal.stderr, /would be deleted/)
  const yes = await shadow('volume rm-snapshot blog monday', { removeSnapshot }, ['monday'])
  assert.deepEqual([yes.exit, deleted.length], [0, 4])
  assert.match(yes.terminal.stderr, /is deleted/)
})

test('volume restore tells how to undo it; a dry run changes nothing', async () => {
  const answer = { restored: true, snapshot: monday, kept: 'before-restore-1', heldMs: 30 }
  const done = await shadow('volume restore blog monday', { restoreVolume: () => answer })
  assert.match(done.terminal.stderr, /it was held for 30ms; its next request wakes it/)
  assert.match(done.terminal.stderr, /to undo this: shadow volume restore blog before-restore-1/)
  let body: unknown
  const dry = await shadow('volume restore blog monday --dry-run', {
    restoreVolume: call => {
      body = call.body
      return { ...answer, restored: false }
    },
  })
  assert.deepEqual(body, { snapshot: 'monday', dryRun: true })
  assert.match(dry.terminal.stderr, /nothing was changed/)
})

test('a failure has the exit code of its error, and its hint', async () => {
  const { exit, terminal } = await shadow('volume snapshot blog', {
    takeSnapshot: () => {
      throw new ShadowError('freeze-too-long', 'it would take too long', { hint: 'put the app to sleep first' })
    },
  })
  assert.equal(exit, 4)
  assert.match(terminal.stderr, /put the app to sleep first/)
})

test('volume grow says whether the app has it already', async () => {
  const awake = { app: 'blog', size: '2GiB', phase: 'awake', sizeBytes: 2 ** 31 }
  const now = await shadow('volume grow blog 2GiB', { growVolume: () => awake })
  assert.equal(now.terminal.stderr, 'the volume of blog is 2GiB and has 2GiB for files\n')
  const later = await shadow('volume grow blog 2GiB', {
    growVolume: () => ({ app: 'blog', size: '2GiB', phase: 'asleep' }),
  })
  assert.match(later.terminal.stderr, /its next wake makes it so large/)
  const wrong = await shadow('volume grow blog much')
  assert.deepEqual([wrong.exit, wrong.calls.length], [2, 0])
  assert.match(wrong.terminal.stderr, /<size>/)
})

test('volume ls shows how many snapshots a volume has, what they take, and the age of the newest', async () => {
  const volume = { id: 'blog', app: 'blog', size: '1GiB', lease: null, createdAt: AT }
  const { terminal } = await shadow('volume ls', {
    listVolumes: () => ({
      items: [
        { ...volume, snapshots: { count: 2, bytes: 2 ** 21, newestAt: AT } },
        {
          ...volume,
          id: 'restored',
          snapshots: { count: 3, bytes: 2 ** 22, newestAt: AT, undoAt: AT, undoBytes: 2 ** 20 },
        },
        { ...volume, id: 'other' },
      ],
      next: null,
    }),
  })
  assert.match(terminal.stdout, /blog .* 2 \(2MiB\) +1h ago/)
  assert.match(terminal.stdout, /other .* - +-/)
  assert.match(terminal.stdout, /restored .* 3 \(4MiB\) +1h ago +1MiB, 1h ago/)
})
