import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { readMemory, readMemoryStalls } from './memory.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'memory-'))
})

afterEach(() => rm(folder, { recursive: true }))

async function files(texts: Readonly<Record<string, string>>): Promise<{ proc: string; cgroup: string }> {
  for (const [path, text] of Object.entries(texts)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  return { proc: join(folder, 'proc'), cgroup: join(folder, 'cgroup') }
}

const MEMINFO = [
  'MemTotal:        1000 kB',
  'MemFree:          100 kB',
  'MemAvailable:     400 kB',
  'SwapCached:         7 kB',
  'SwapTotal:        200 kB',
  'SwapFree:          50 kB',
].join('\n')

describe('the memory of a machine', () => {
  test('is what /proc/meminfo says', async () => {
    const at = await files({ 'proc/meminfo': MEMINFO })
    assert.deepEqual(readMemory(at), {
      totalBytes: 1_024_000,
      availableBytes: 409_600,
      swapTotalBytes: 204_800,
      swapFreeBytes: 51_200,
    })
  })

  test('is read here too', async () => {
    const { totalBytes, availableBytes } = readMemory()
    assert.ok(availableBytes > 0 && availableBytes < totalBytes && totalBytes < Number.POSITIVE_INFINITY)
  })

  test('is the limit of its cgroup v2 where that is less; what the kernel can drop of files is available', async () => {
    const at = await files({
      'proc/meminfo': MEMINFO,
      'cgroup/memory.max': '500000\n',
      'cgroup/memory.current': '450000\n',
      'cgroup/memory.stat': 'anon 300000\ninactive_file 100000\n',
    })
    const { totalBytes, availableBytes } = readMemory(at)
    assert.deepEqual([totalBytes, availableBytes], [500_000, 150_000])
  })

  test('is the limit of its cgroup v1 where that is less', async () => {
    const at = await files({
      'proc/meminfo': MEMINFO,
      'cgroup/memory/memory.limit_in_bytes': '500000\n',
      'cgroup/memory/memory.usage_in_bytes': '499000\n',
      'cgroup/memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 9000\n',
    })
    const { totalBytes, availableBytes } = readMemory(at)
    assert.deepEqual([totalBytes, availableBytes], [500_000, 10_000])
  })

  for (const [what, path, text] of [
    ['"max" in v2', 'cgroup/memory.max', 'max\n'],
    ['2^63 in v1', 'cgroup/memory/memory.limit_in_bytes', '9223372036854771712\n'],
    ['more than there is', 'cgroup/memory.max', '99000000\n'],
  ] as const)
    test(`is all of it where the limit is ${what}`, async () => {
      const at = await files({ 'proc/meminfo': MEMINFO, [path]: text })
      assert.equal(readMemory(at).totalBytes, 1_024_000)
    })
})

describe('stalls for want of memory', () => {
  const PSI = 'some avg10=12.50 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.25 avg60=0.00 avg300=0.00 total=1\n'

  test('are the averages over ten seconds', async () => {
    assert.deepEqual(readMemoryStalls(await files({ 'proc/pressure/memory': PSI })), { some: 12.5, full: 3.25 })
  })

  test('are those of the cgroup in a container', async () => {
    const at = await files({ 'proc/pressure/memory': PSI, 'cgroup/memory.pressure': PSI.replace('12.50', '0.50') })
    assert.deepEqual(readMemoryStalls(at), { some: 0.5, full: 3.25 })
  })

  test('are not known where the kernel does not count them', async () => {
    assert.equal(readMemoryStalls(await files({ 'proc/meminfo': MEMINFO })), undefined)
  })
})
