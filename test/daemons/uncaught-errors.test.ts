import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'

// A module that Node loads together with the daemon throws an exception in a callback.
const THROWS = 'process.on("SIGUSR2", () => setImmediate(() => { throw new TypeError("cut short") }))'

test('an exception that cuts code of a daemon short is logged, and the daemon starts anew under its process id', async () => {
  const data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  const words = ['--import', `data:text/javascript,${encodeURIComponent(THROWS)}`, main, 'master']
  const daemon = spawn(process.execPath, [...words, '--listen', '127.0.0.1:0', '--data', data, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  try {
    const log = text(daemon.stderr)
    const starts = createInterface({ input: daemon.stdout })[Symbol.asyncIterator]()
    const { master } = JSON.parse((await starts.next()).value ?? '')
    assert.equal((await fetch(`${master}/v1/health`)).status, 200)
    daemon.kill('SIGUSR2')
    const again = JSON.parse((await starts.next()).value ?? '')
    assert.equal((await fetch(`${again.master}/v1/health`)).status, 200)
    daemon.kill('SIGTERM')
    assert.deepEqual(await once(daemon, 'exit'), [0, null])
    const told = (await log).split('\n')
    const line = JSON.parse(told.find(one => one.includes('unexpected error')) ?? '{}')
    assert.equal(line.cause.message, 'cut short')
    assert.match(line.cause.stack, /TypeError/)
    assert.ok(told.some(one => one.includes('restarting after an unexpected error')))
  } finally {
    daemon.kill('SIGKILL')
    await rm(data, { recursive: true, force: true })
  }
})
