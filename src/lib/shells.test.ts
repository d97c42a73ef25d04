import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { until } from '../testing/wire.ts'
import { ExecError, exec } from './exec.ts'
import { Shells } from './shells.ts'

const shellOf = async (shells: Shells): Promise<string> => (await shells.exec('sh', ['-c', 'echo $PPID'])).trim()

describe('many commands at once', () => {
  test('share a few shells', async () => {
    using shells = new Shells(new HandClock())
    const used = await Promise.all(Array.from({ length: 20 }, () => shellOf(shells)))
    assert.equal(new Set(used).size, 4)
  })

  test('wait for long ones no longer than for short ones', async () => {
    const clock = new HandClock()
    using shells = new Shells(clock)
    const folder = mkdtempSync(join(tmpdir(), 'shells-'))
    try {
      const fifos = ['a', 'b', 'c', 'd'].map(name => join(folder, name))
      await shells.exec('mkfifo', fifos)
      const long = fifos.map(fifo => shells.exec('cat', [fifo]))
      const others = [shellOf(shells), shellOf(shells)]
      await clock.advance(50)
      await Promise.all(others)
      await shellOf(shells) // one that comes later does not wait at all
      for (const fifo of fifos) await shells.exec('sh', ['-c', `echo met > ${fifo}`])
      assert.deepEqual(await Promise.all(long), Array(4).fill('met\n'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('that wait are run when a shell ends by its command', async () => {
    using shells = new Shells(new HandClock())
    const deaths = Array.from({ length: 4 }, () => shells.exec('sh', ['-c', 'kill -9 $PPID']))
    const others = Array.from({ length: 6 }, () => shellOf(shells))
    for (const { status } of await Promise.allSettled(deaths)) assert.equal(status, 'rejected')
    await Promise.all(others)
  })

  test('that wait are run after the shells were ended', async () => {
    const shells = new Shells(new HandClock())
    const all = Array.from({ length: 10 }, () => shellOf(shells))
    shells[Symbol.dispose]()
    for (const pid of await Promise.all(all)) await until(() => !existsSync(`/proc/${pid}`))
  })
})

describe('a program that is run by a kept shell', () => {
  test('gets its words as they are, and its output is told as it is', async () => {
    using shells = new Shells()
    const words = ["it's", 'a\nb', '', '$HOME `id` "x" \\ *', 'ö']
    assert.equal(await shells.exec('printf', ['<%s>', ...words]), words.map(word => `<${word}>`).join(''))
  })

  const FAILURES = [
    { what: 'ends badly', args: ['sh', '-c', 'echo out; echo err >&2; exit 3'] },
    { what: 'is not there', args: ['no-such-program'] },
    { what: 'is killed', args: ['sh', '-c', 'kill -9 $$'] },
  ] as const
  for (const { what, args } of FAILURES)
    test(`fails as it does without the shell when it ${what}`, async () => {
      using shells = new Shells()
      const [file, ...rest] = args
      const failure = async (run: typeof exec): Promise<ExecError> =>
        run(file, rest).then(
          () => assert.fail('it succeeded'),
          error => error,
        )
      const [ours, plain] = [await failure(shells.exec), await failure(exec)]
      assert.ok(ours instanceof ExecError)
      assert.equal(ours.exitCode, plain.exitCode)
      assert.equal(ours.stdout, plain.stdout)
      assert.equal(ours.command, plain.command)
      if (plain.stderr !== '') assert.equal(ours.stderr, plain.stderr)
      assert.equal(await shells.exec('echo', ['still here']), 'still here\n')
    })

  test('may end with an exit code that is also good', async () => {
    using shells = new Shells()
    assert.equal(await shells.exec('sh', ['-c', 'echo mended; exit 1'], { alsoGood: [1] }), 'mended\n')
  })

  test('reads nothing of what comes after it', async () => {
    using shells = new Shells()
    assert.equal(await shells.exec('cat', []), '')
    assert.equal(await shells.exec('echo', ['next']), 'next\n')
  })

  test('runs beside others that were asked for at the same time', async () => {
    using shells = new Shells()
    const fifo = `/tmp/shadow-shells-${process.pid}`
    await shells.exec('mkfifo', [fifo])
    try {
      const reading = shells.exec('cat', [fifo])
      await shells.exec('sh', ['-c', `echo met > ${fifo}`])
      assert.equal(await reading, 'met\n')
    } finally {
      await shells.exec('rm', [fifo])
    }
  })

  test('that ends its shell fails, and the next one has another', async () => {
    using shells = new Shells()
    await assert.rejects(shells.exec('sh', ['-c', 'kill -9 $PPID']), ExecError)
    assert.equal(await shells.exec('echo', ['next']), 'next\n')
  })

  test('has the same shell as the one before it, which ends when it is not wanted any more', async () => {
    const shells = new Shells()
    const pid = async (): Promise<string> => (await shells.exec('sh', ['-c', 'echo $PPID'])).trim()
    const first = await pid()
    assert.equal(await pid(), first)
    shells[Symbol.dispose]()
    await until(() => !existsSync(`/proc/${first}`))
  })
})
