import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'vitest'
import { temporaryFolder } from '../../testing/folders.ts'
import { tiersCheck } from './tiers.ts'

/** Level and value of what is found on a machine with these files. */
async function found(files: Readonly<Record<string, string>>): Promise<readonly (readonly [string, string])[]> {
  const folder = temporaryFolder('shadow-test-tiers-')
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const check = tiersCheck({ proc: join(folder, 'proc'), cgroup: join(folder, 'cgroup') })
  const findings = await check.run(new AbortController().signal)
  for (const { level, mend } of findings) assert.equal(mend === undefined, level === 'ok')
  return findings.map(({ level, value }) => [level, value])
}

const MEMORY = 'MemTotal: 1000 kB\nMemAvailable: 500 kB\n'

test('a machine with all that tiers need is told with the version of its control groups', async () => {
  const machine = {
    'proc/meminfo': `${MEMORY}SwapTotal: 1024 kB\nSwapFree: 512 kB\n`,
    'proc/pressure/memory': 'some avg10=1.50 avg60=0.00 avg300=0.00 total=0\n',
  }
  const rest = [
    ['ok', '512KiB of 1MiB free'],
    ['ok', '1.5 % of the last 10 s'],
  ] as const
  assert.deepEqual(await found({ ...machine, 'cgroup/freezer/tasks': '' }), [['ok', 'version 1'], ...rest])
  assert.deepEqual(await found({ ...machine, 'cgroup/cgroup.controllers': 'cpu' }), [['ok', 'version 2'], ...rest])
})

test('a machine without swap, freezer and PSI is told how to get them', async () => {
  const levels = (await found({ 'proc/meminfo': MEMORY, 'cgroup/memory/tasks': '' })).map(([level]) => level)
  assert.deepEqual(levels, ['warning', 'warning', 'warning'])
})
