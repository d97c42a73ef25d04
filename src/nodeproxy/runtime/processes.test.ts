import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'vitest'
import { Processes } from './processes.ts'

// The id of a container is part of its cgroup's path; the empty one is part of any.
const CONTAINER = { id: '' }

/** Bash under this name, with a child that ends when it is told to, while bash goes on. */
async function parent(name: string) {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-test-'))
  await copyFile('/bin/bash', join(folder, name))
  const process = spawn(join(folder, name), ['-c', 'sleep 100 & echo $!; wait; read'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const [line] = (await once(createInterface(process.stdout), 'line')) as [string]
  return {
    pid: process.pid ?? 0,
    child: Number(line),
    async [Symbol.asyncDispose]() {
      const ended = once(process, 'exit')
      process.kill('SIGKILL')
      await ended
      await rm(folder, { recursive: true })
    },
  }
}

async function endsItsChild(name: string): Promise<boolean | undefined> {
  await using first = await parent(name)
  const processes = new Processes()
  await processes.learn(CONTAINER, first.pid)
  assert.equal(await processes.lives(CONTAINER), true)
  process.kill(first.child, 'SIGKILL')
  while (await isThere(first.child)) await new Promise(resolve => setTimeout(resolve, 1))
  return await processes.lives(CONTAINER)
}

const isThere = async (pid: number): Promise<boolean> => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

// On a busy machine, docker-init ends long after the command that it waits for.
test('a container has ended when the command that docker-init waits for has', async () => {
  assert.equal(await endsItsChild('docker-init'), false)
})

test('an app that is the first process itself lives on when a child of it ends', async () => {
  assert.equal(await endsItsChild('app'), true)
})
