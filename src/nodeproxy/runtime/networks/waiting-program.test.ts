import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { waitingProgram } from './waiting-program.ts'

const HERE: Partial<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }

test('a program that waits runs on this machine until it is killed, and takes next to no memory', async () => {
  const program = waitingProgram(HERE[process.arch] ?? '')
  assert.ok(program, `none for ${process.arch}`)
  const folder = await mkdtemp(join(tmpdir(), 'shadow-test-waits-'))
  try {
    await writeFile(`${folder}/wait`, program, { mode: 0o755 })
    const child = spawn(`${folder}/wait`)
    await once(child, 'spawn') // emitted once the kernel has taken the program
    const ended = once(child, 'exit')
    assert.equal(child.kill('SIGSTOP'), true)
    assert.equal(child.kill('SIGCONT'), true) // which wakes it, and it waits on
    child.kill('SIGKILL')
    assert.deepEqual(await ended, [null, 'SIGKILL'])
  } finally {
    await rm(folder, { recursive: true })
  }
})

for (const [architecture, machine, size] of [
  ['x86_64', 62, 129],
  ['aarch64', 183, 148],
] as const)
  test(`the program for ${architecture} is one of its kind, and loaded whole`, () => {
    const program = waitingProgram(architecture) ?? assert.fail()
    assert.equal(program.length, size)
    assert.equal(program.readUInt16LE(18), machine)
    assert.equal(program.readBigUInt64LE(24), 0x400078n)
    assert.equal(program.readBigUInt64LE(64 + 32), BigInt(size))
  })

test('for other architectures there is none', () => {
  assert.equal(waitingProgram('riscv64'), undefined)
  assert.equal(waitingProgram('toString'), undefined)
})
