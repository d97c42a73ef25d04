import assert from 'node:assert/strict'
import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type GateCommand, gateMessage } from './gate-message.ts'
import { gateProgram, MOST_MESSAGE_BYTES } from './gate-program.ts'

const HERE: Partial<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }
/** By the names that Docker has for architectures, what runs a program of each on this machine: the machine itself, or QEMU if it is here. */
const RUNNERS: readonly (readonly [string, readonly string[] | undefined])[] = Object.values(HERE).map((name = '') => [
  name,
  HERE[process.arch] === name ? [] : emulator(`qemu-${name}`),
])
const COMMAND: GateCommand = { folder: undefined, programs: ['/bin/sh'], args: ['sh', '-c', 'exit 3'], env: [] }

let folder: string
/** The words that start the gate. */
let words: readonly string[]
const gates: ChildProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-gate-'))
  await promisify(execFile)('mkfifo', [`${folder}/open`])
})
afterEach(async () => {
  // One that is left by a test that failed would keep the output of the tests open for good.
  for (const gate of gates.splice(0)) gate.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

async function makeGate(architecture: string, runner: readonly string[]): Promise<void> {
  const program = gateProgram(architecture, `${folder}/open`) ?? assert.fail(`none for ${architecture}`)
  await writeFile(`${folder}/program`, program, { mode: 0o755 })
  // A child of another test may have a file open for a moment that this process writes, and then the kernel does not run it.
  await promisify(execFile)('cp', [`${folder}/program`, `${folder}/gate`])
  words = [...runner, `${folder}/gate`]
}

function startGate(env: NodeJS.ProcessEnv = process.env): ChildProcessByStdio<null, Readable, null> {
  const [program = '', ...rest] = words
  const gate = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'], env })
  gates.push(gate)
  return gate
}

/** The program of the name; undefined where it is not installed. */
function emulator(name: string): readonly string[] | undefined {
  const { PATH = '' } = process.env
  const found = PATH.split(':')
    .map(folder => join(folder, name))
    .find(path => existsSync(path))
  return found === undefined ? undefined : [found]
}

/** What a gate does that gets these bytes. */
async function gets(message: Uint8Array): Promise<{ code: number; said: string }> {
  const child = startGate({ OF_GATE: '1' })
  const ended = once(child, 'exit')
  const said = text(child.stdout) // before it ends: Node reads the rest of a child that has ended, for nobody
  await writeFile(`${folder}/open`, message)
  return { said: await said, code: (await ended)[0] }
}

/** Sends a message to a gate that waits. The next message goes another way, as `Gates` does it: the gate could read both as one. */
async function sends(message: Buffer): Promise<void> {
  const fifo = await open(`${folder}/open`, 'w')
  try {
    await promisify(execFile)('mkfifo', [`${folder}/again`])
    await rename(`${folder}/again`, `${folder}/open`)
    await fifo.writeFile(message)
  } finally {
    await fifo.close()
  }
}

const becomes = (changes: Partial<GateCommand>) => gets(gateMessage({ ...COMMAND, ...changes }) ?? assert.fail())

describe.each(RUNNERS)('a gate of %s', (architecture, runner) => {
  beforeEach(async context => {
    if (runner === undefined) return context.skip(`this machine has no qemu-${architecture}`)
    await makeGate(architecture, runner)
  })

  test('becomes its command, with these words and this environment and no other', async () => {
    const script = 'echo "$0|$1|$2"; echo $OF_GATE $A; echo $$'
    const { said } = await becomes({ args: ['sh', '-c', script, 'zero', 'two words', ''], env: ['A=b=c d'] })
    assert.match(said, /^zero\|two words\|\nb=c d\n\d+\n$/)
  })

  test('goes on as the same process', async () => {
    const child = startGate()
    const said = text(child.stdout)
    await writeFile(`${folder}/open`, gateMessage({ ...COMMAND, args: ['sh', '-c', 'echo $$'] }) ?? assert.fail())
    assert.equal(await said, `${child.pid}\n`)
  })

  test('goes to its folder first, and stays where it is without one', async () => {
    assert.equal((await becomes({ folder: '/usr', args: ['sh', '-c', 'pwd'] })).said, '/usr\n')
    assert.equal((await becomes({ args: ['sh', '-c', 'pwd'] })).said, `${process.cwd()}\n`)
  })

  test('tries its programs in their order', async () => {
    assert.equal((await becomes({ programs: ['/nowhere/sh', '/dev/null', '/bin/sh', '/bin/false'] })).code, 3)
  })

  test.each([
    { is: 'has no program', message: { programs: ['/nowhere/sh', '/etc/passwd'] } },
    { is: 'has a folder that is not there', message: { folder: '/nowhere' } },
  ])('waits for another message after one that $is', async ({ message }) => {
    const child = startGate()
    const ended = once(child, 'exit')
    await sends(gateMessage({ ...COMMAND, ...message }) ?? assert.fail())
    await sends(gateMessage(COMMAND) ?? assert.fail())
    assert.deepEqual(await ended, [3, null])
  })

  test('runs nothing of a message that was cut short', async () => {
    const message = gateMessage(COMMAND) ?? assert.fail()
    for (const length of [8, 40, message.length - 1])
      assert.equal((await gets(message.subarray(0, length))).code, 125, `${length} bytes`)
  })

  test('reads messages that fill its FIFO many times', async () => {
    const env = Array.from({ length: 15 }, (_, at) => `LONG_${at}=${'x'.repeat(100_000)}`)
    assert.equal((await becomes({ env, args: ['sh', '-c', 'echo "$LONG_14"'] })).said, `${'x'.repeat(100_000)}\n`)
  })

  test('has no message that is longer than its memory', () => {
    assert.equal(gateMessage({ ...COMMAND, env: [`A=${'x'.repeat(MOST_MESSAGE_BYTES)}`] }), undefined)
  })
})

test('there is a gate for these architectures, and none for others', () => {
  const machines = ['x86_64', 'aarch64'].map(name => gateProgram(name)?.readUInt16LE(18))
  assert.deepEqual([...machines, gateProgram('riscv64'), gateProgram('toString')], [62, 183, undefined, undefined])
})
