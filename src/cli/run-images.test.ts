import assert from 'node:assert/strict'
import { test } from 'vitest'
import { shadow } from '../testing/cli.ts'

const DIGEST = `sha256:${'0123456789ab'.repeat(5)}cdef`
const image = {
  repository: 'blog',
  tags: ['3', 'latest'],
  digest: DIGEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  bytes: 3 * 2 ** 20,
  pushedAt: '2026-11-20T12:00:00.000Z',
  apps: ['blog'],
}

test('images ls shows what there is, page by page, with the apps that need it', async () => {
  const old = { ...image, tags: [], apps: [] }
  const { terminal, calls } = await shadow('images ls blog', {
    listImages: ({ query }: { query: Record<string, string> }) =>
      query['after'] === undefined ? { items: [image], next: 'x' } : { items: [old], next: null },
  })
  assert.deepEqual(
    terminal.stdout
      .trimEnd()
      .split('\n')
      .map(line => line.split(/ {2,}/)),
    [
      ['IMAGE', 'TAGS', 'DIGEST', 'SIZE', 'PUSHED', 'APPS'],
      ['master.shadow/blog', '3 latest', 'sha256:0123456789ab', '3MiB', image.pushedAt, 'blog'],
      ['master.shadow/blog', '-', 'sha256:0123456789ab', '3MiB', image.pushedAt, '-'],
    ],
  )
  assert.deepEqual(
    calls.map(({ query }) => query['repository']),
    ['blog', 'blog'],
  )
})

test('images prune says what it removes, and with --dry-run what it would remove', async () => {
  const answers = {
    pruneImages: () => ({
      images: [{ repository: 'blog', digest: DIGEST }],
      blobs: 4,
      bytes: 2 ** 20,
      uploads: 1,
      sources: 2,
      sourceBytes: 2 ** 11,
    }),
  }
  const planned = await shadow('images prune --dry-run --older-than 2h', answers)
  assert.equal(planned.terminal.stdout, `blog@${DIGEST}\n`)
  const what = '1 images, 4 layers (1MiB), 1 unfinished uploads, 2 sources (2KiB)'
  assert.equal(planned.terminal.stderr, `would remove ${what}; nothing was done\n`)
  assert.deepEqual(planned.calls[0]?.body, { olderThan: '2h', dryRun: true })
  const done = await shadow('images prune', answers)
  assert.equal(done.terminal.stderr, `removed ${what}\n`)
  assert.deepEqual(done.calls[0]?.body, { olderThan: '24h', dryRun: false })
})

test('images rm asks before it removes', async () => {
  const answers = { removeImage: () => undefined }
  assert.equal((await shadow('images rm blog:3', answers)).exit, 2)
  const { exit, calls } = await shadow('images rm blog:3 --yes', answers)
  assert.deepEqual([exit, calls[0]?.query], [0, { image: 'blog:3' }])
})
