import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'

const VOLUME = { volume: { size: '16MiB' }, sleep: { idleAfter: 'never', grace: '2s' } }

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()

/** The number of mounts of the app's volume on the machine. There must never be two. */
async function mountsOf(shadow: Shadow, app: string): Promise<number> {
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  return text.split('\n').filter(line => line.includes(` ${shadow.data}/volumes/${app}/mnt `)).length
}

describe('an awake app whose container somebody', () => {
  for (const [verb, ...command] of [
    ['removes', 'rm', '--force'],
    ['stops', 'stop', '--time', '1'],
    ['kills', 'kill'],
    ['restarts', 'restart', '--time', '1'],
  ] as const) {
    test(`${verb} by hand is unwound, and woken again by the next request with its data`, async () => {
      await using shadow = await Shadow.start()
      await shadow.register('blog', VOLUME)
      const before = await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
      assert.equal(before.status, 200)
      const [container = ''] = await shadow.containers('blog')
      const devices = await shadow.mountsAndDevices()
      await docker(...command, container)

      const { status, text } = await shadow.ask('blog', '/files/note')
      assert.deepEqual([status, text], [200, 'kept'])
      const { phase, container: now } = await shadow.until('blog', 'awake')
      assert.equal(phase, 'awake')
      assert.deepEqual(await shadow.containers('blog'), [now?.id])
      assert.deepEqual([await mountsOf(shadow, 'blog'), (await shadow.mountsAndDevices()).length], [1, devices.length])

      await shadow.sleep('blog')
      assert.deepEqual([await shadow.containers('blog'), await shadow.mountsAndDevices()], [[], []])
    })
  }

  test('removes while nobody asks is asleep or crashed before long, with nothing mounted or attached', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', VOLUME)
    await shadow.ask('blog')
    await docker('rm', '--force', ...(await shadow.containers('blog')))
    const { problem, stoppedBy } = await shadow.until('blog', 'crashed')
    assert.deepEqual([problem?.code, stoppedBy], ['app-crashed', 'died'])
    assert.deepEqual(await shadow.mountsAndDevices(), [])
    assert.equal((await shadow.ask('blog')).status, 200)
  })
})
