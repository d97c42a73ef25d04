import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { ClientSession } from '../../api/exec-client.ts'
import { isFailure } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import type { Open } from './container.ts'
import { Processes, type Wanted } from './processes.ts'
import type { ProcessEvent } from './running-process.ts'

const sandbox = 'base--aaaaaaaaaaaaaaaa' as AppName

/** A command of a container that says and ends as it is told. */
function fakeCommand() {
  const end = Promise.withResolvers<number>()
  const written: string[] = []
  let say: (stream: 'stdout' | 'stderr', text: string) => Promise<void> | void = () => undefined
  let isLeft = false
  const session = {
    write: async (bytes: Uint8Array) => void written.push(Buffer.from(bytes).toString()),
    endInput: async () => void written.push('(end)'),
    signal: async (name: string) => end.resolve(name === 'KILL' ? 137 : 143),
    resize: async () => undefined,
    read: ({ output }: Parameters<ClientSession['read']>[0]) => {
      say = (stream, text) => output(stream, Buffer.from(text))
      void say('stdout', `${pid}\n`)
      return end.promise
    },
    [Symbol.dispose]: () => {
      isLeft = true
    },
  }
  const pid = ++pids
  return {
    ...{ pid, written, end },
    open: (async () => session as unknown as ClientSession) satisfies Open,
    say: (text: string) => say('stdout', text),
    isLeft: () => isLeft,
  }
}
let pids = 40
const wanted = (more: Partial<Wanted> = {}): Wanted => ({
  ...{ sandbox, user: undefined, tag: undefined, pty: undefined, stdin: true },
  config: { cmd: '/bin/bash', args: [], envs: {} },
  ...more,
})
const never = new AbortController().signal
const textOf = (events: readonly ProcessEvent[]): string =>
  events.map(one => ('data' in one ? Buffer.from(one.data.stdout ?? '', 'base64').toString() : 'end')).join('|')

test('a process goes on when its listener leaves, and the next one gets what was written meanwhile, up to a bound', async () => {
  const processes = new Processes(new HandClock())
  const command = fakeCommand()
  const process = await processes.start(command.open, wanted({ tag: 'mine' }), never)
  assert.equal(processes.get(sandbox, { tag: 'mine' }), processes.get(sandbox, { pid: command.pid }))
  const first: ProcessEvent[] = []
  const listening = await process.listen(async event => void first.push(event))
  await command.say('a')
  listening[Symbol.dispose]()
  await command.say('x'.repeat(2 ** 20))
  await command.say('b')
  const second: ProcessEvent[] = []
  using _again = await process.listen(async event => void second.push(event))
  await command.say('c')
  command.end.resolve(0)
  await process.over
  assert.equal(textOf(first), 'a')
  assert.equal(textOf(second), 'b|c|end')
  assert.throws(() => processes.get(sandbox, { tag: 'mine' }), { code: 'not-found' })
})

test('a process whose time is over is killed, also when nobody listens', async () => {
  const clock = new HandClock()
  const process = await new Processes(clock).start(fakeCommand().open, wanted(), never)
  process.expireIn(60_000)
  await clock.advance(60_000)
  await assert.rejects(process.over, { code: 'too-slow' })
})

test('one that was killed tells so, and one without input gets its end after the line that begins it', async () => {
  const command = fakeCommand()
  const process = await new Processes(new HandClock()).start(command.open, wanted({ stdin: false }), never)
  assert.deepEqual(command.written, ['\n', '(end)'])
  const events: ProcessEvent[] = []
  using _listening = await process.listen(async event => void events.push(event))
  await process.signal('KILL')
  await process.over
  assert.deepEqual(events, [
    { end: { exitCode: -1, exited: false, status: 'signal: killed', error: 'signal: killed' } },
  ])
})

test('a sandbox has a most of processes, and others have theirs', async () => {
  const processes = new Processes(new HandClock())
  const start = (of: AppName) => processes.start(fakeCommand().open, wanted({ sandbox: of }), never)
  const begun = await Promise.allSettled(Array.from({ length: 30 }, () => start(sandbox)))
  assert.equal(begun.filter(({ status }) => status === 'fulfilled').length, 24)
  await assert.rejects(start(sandbox), error => isFailure(error, 'too-many-sessions'))
  await start('base--bbbbbbbbbbbbbbbb' as AppName)
})
