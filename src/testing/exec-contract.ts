import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { Command } from '../model/exec.ts'
import { instanceId } from '../model/instance-id.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Container, Runtime } from '../nodeproxy/runtime/runtime.ts'
import type { Output, Terminal } from '../nodeproxy/runtime/terminal.ts'
import { COMMANDS } from './exec-commands.ts'

type Opened = {
  readonly runtime: Runtime
  readonly task: TaskDefinition
  /** How many processes with this word in their command line run in the container. */
  readonly running: (container: Container, word: string) => Promise<number>
}

const signal = new AbortController().signal
const AT_ONCE_MS = 30_000

/** What commands beside the app must do, whatever runs them. `open` is called for each test. */
export function describeExec(name: string, open: () => Promise<Opened>, withinMs = AT_ONCE_MS): void {
  describe(`commands in containers of ${name}`, { timeout: withinMs }, () => {
    async function started(command: readonly string[], more: Partial<Command> = {}) {
      const { runtime, task, running } = await open()
      const container = await runtime.create(instanceId(task.app), task, undefined, signal)
      await runtime.start(container, signal)
      const run = (words: readonly string[], given: Partial<Command> = {}) =>
        runtime.exec(container, { command: words, env: {}, ...given }, signal)
      return { terminal: await run(command, more), run, runtime, container, running }
    }

    test('stdout, stderr and the exit code come apart', async () => {
      const { terminal } = await started(COMMANDS.both)
      assert.deepEqual(await all(terminal), { stdout: 'out\n', stderr: 'err\n' })
      assert.equal(await terminal.exitCode(), 3)
    })

    test('input arrives byte for byte, and its end is seen', async () => {
      const { terminal } = await started(COMMANDS.cat)
      const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251))
      const output = bytesOf(terminal)
      await terminal.write(bytes)
      terminal.endInput()
      assert.ok((await output).equals(bytes))
      assert.equal(await terminal.exitCode(), 0)
    })

    test('the command has the variables and the folder that were given', async () => {
      const { terminal } = await started(COMMANDS.env, { env: { GREETING: 'hello' }, workdir: '/etc' })
      assert.deepEqual(await all(terminal), { stdout: 'hello in /etc\n', stderr: '' })
    })

    test('a terminal has a size, which can be changed', async () => {
      const { terminal } = await started(COMMANDS.size, { tty: { columns: 80, rows: 24 } })
      const reading = terminal.output[Symbol.asyncIterator]()
      await terminal.write(Buffer.from('\n'))
      await until(reading, /24 80/)
      await terminal.resize({ columns: 132, rows: 43 })
      await terminal.write(Buffer.from('\n'))
      await until(reading, /43 132/)
      await terminal.end()
    })

    test('a signal reaches the command, which may handle it', async () => {
      const { terminal } = await started(COMMANDS.trap)
      const reading = terminal.output[Symbol.asyncIterator]()
      await until(reading, /up/)
      await terminal.signal('INT')
      await until(reading, /got/)
      assert.equal((await reading.next()).done, true)
      assert.equal(await terminal.exitCode(), 5)
    })

    for (const tty of [undefined, { columns: 80, rows: 24 }])
      test(`the end of a session ends all processes of its command ${tty ? 'with' : 'without'} a terminal, and no other`, async () => {
        const { terminal, run, container, running } = await started(COMMANDS.sleepers, tty && { tty })
        const other = await run(COMMANDS.other)
        await reaches(async () => (await running(container, 'sleep 1001')) === 2)
        await terminal.end()
        assert.equal(await running(container, 'sleep 1001'), 0)
        assert.equal(await running(container, 'sleep 2002'), 1)
        await other.end()
        await terminal.end() // may be repeated
      })

    test('a command that ignores SIGHUP is killed', async () => {
      const { terminal, container, running } = await started(COMMANDS.stubborn)
      await until(terminal.output[Symbol.asyncIterator](), /up/)
      await terminal.end()
      assert.equal(await running(container, 'sleep 3003'), 0)
    })

    test('input that the command does not read waits, and fails when the command has ended', async () => {
      const { terminal } = await started(COMMANDS.deaf)
      const writing = terminal.write(Buffer.alloc(4_000_000))
      const outcome = writing.then(
        () => 'taken',
        () => 'refused',
      )
      assert.equal(await Promise.race([outcome, new Promise(resolve => setTimeout(resolve, 100, 'waits'))]), 'waits')
      await terminal.end()
      assert.equal(await outcome, 'refused')
    })

    test('a program that is not there is refused, and its name is told', async () => {
      await assert.rejects(started(COMMANDS.missing), { code: 'command-not-found', message: /no-such-program/ })
    })

    test('a user and a folder that are not there are told apart from that', async () => {
      await assert.rejects(started(COMMANDS.both, { user: 'nobody-here' }), {
        code: 'bad-input',
        message: /nobody-here/,
      })
      await assert.rejects(started(COMMANDS.both, { workdir: '/no/such' }), {
        code: 'bad-input',
        message: /\/no\/such/,
      })
    })

    test('a command ends with its container', async () => {
      const { terminal, runtime, container } = await started(COMMANDS.other)
      await runtime.stop(container, 0)
      assert.deepEqual(await all(terminal), { stdout: '', stderr: '' })
      assert.equal(await terminal.exitCode(), 137)
    })

    test('no command starts in a container that has stopped', async () => {
      const { run, runtime, container } = await started(COMMANDS.other)
      await runtime.stop(container, 0)
      await assert.rejects(run(COMMANDS.both), { code: 'app-unreachable' })
    })
  })
}

async function all(terminal: Terminal): Promise<{ stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' }
  for await (const { stream, bytes } of terminal.output) said[stream] += Buffer.from(bytes).toString()
  return said
}

async function bytesOf(terminal: Terminal): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const { bytes } of terminal.output) parts.push(Buffer.from(bytes))
  return Buffer.concat(parts)
}

async function until(reading: AsyncIterator<Output>, pattern: RegExp): Promise<void> {
  for (let said = ''; !pattern.test(said); ) {
    const { done, value } = await reading.next()
    if (done) throw new Error(`it ended, having said only ${JSON.stringify(said)}`)
    said += Buffer.from(value.bytes).toString()
  }
}

async function reaches(is: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await is()) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error('it never came to that')
}
