import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { shadow } from '../testing/cli.ts'

const app = { name: 'blog', domains: ['blog.localhost'], task: { revision: 1, volume: { id: 'blog', size: '1GiB' } } }
const volume = { id: 'blog', app: 'blog', size: '1GiB', lease: { node: 'n', epoch: 1, until: 'x' }, createdAt: 'x' }

describe('--dry-run says what would be removed, removes nothing, and asks nothing:', () => {
  test('an app', async () => {
    const { exit, terminal, calls } = await shadow('remove blog --dry-run', { getApp: () => app })
    assert.deepEqual([exit, calls.map(({ name }) => name)], [0, ['getApp']])
    assert.equal(terminal.stderr, 'would remove blog (blog.localhost); its volume blog is kept; nothing was done\n')
  })

  test('an app with its volume, as JSON', async () => {
    const { exit, terminal, calls } = await shadow('remove blog --with-volume --dry-run --json', { getApp: () => app })
    assert.deepEqual([exit, calls.map(({ name }) => name)], [0, ['getApp']])
    assert.deepEqual(JSON.parse(terminal.stdout), {
      dryRun: true,
      removes: { app: 'blog', domains: ['blog.localhost'], volume: 'blog' },
      volumeKept: null,
    })
    assert.match(terminal.stderr, /all data of its volume blog/)
  })

  test('a node that is lost, with its volumes', async () => {
    const plan = { removed: false, lost: [volume], free: [] }
    const { exit, terminal, calls } = await shadow('node rm n --lost --dry-run', { removeNode: () => plan })
    assert.deepEqual([exit, calls.map(({ query }) => query['dryRun'])], [0, ['true']])
    assert.match(
      terminal.stderr,
      /^lost: volume blog, 1GiB, of the app blog.*\nwould remove the node n; nothing was done\n$/,
    )
  })

  test('a node that is drained', async () => {
    const plan = { removed: false, lost: [], free: [] }
    const { exit, calls } = await shadow('node rm n --dry-run', { removeNode: () => plan })
    assert.deepEqual([exit, calls.map(({ query }) => query['dryRun'])], [0, ['true']])
  })

  const token = { id: '1f3a', name: 'ci', role: 'admin', createdAt: 'x' }
  test('a token', async () => {
    const { exit, terminal, calls } = await shadow('token rm 1f3a --dry-run', {
      listTokens: () => ({ items: [token] }),
    })
    assert.deepEqual([exit, calls.map(({ name }) => name)], [0, ['listTokens']])
    assert.equal(terminal.stderr, 'would revoke the token 1f3a (ci, role admin); nothing was done\n')
  })

  test('a token that is not there is an error', async () => {
    const { exit, terminal } = await shadow('token rm 1f3b --dry-run', { listTokens: () => ({ items: [token] }) })
    assert.notEqual(exit, 0)
    assert.match(terminal.stderr, /there is no token 1f3b/)
  })

  test('a machine of the cluster', async () => {
    const member = { role: 'node', name: 'n', joinedAt: 'x', until: 'x' }
    const { exit, terminal, calls } = await shadow('cluster rm n --role node --dry-run', {
      listMembers: () => ({ items: [member] }),
    })
    assert.deepEqual([exit, calls.map(({ name }) => name)], [0, ['listMembers']])
    assert.equal(terminal.stderr, 'would remove the node n from the cluster; nothing was done\n')
  })
})
