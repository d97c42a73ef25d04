import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../../src/testing/free-port.ts'
import { opens } from './docker.ts'

/** Starts a server on Node as a process of this machine, and returns the ms until its port was open. It is ended then. */
export async function bootOf(program: string): Promise<number> {
  const port = await freePort()
  const from = performance.now()
  const child = spawn(process.execPath, [program], { env: { PATH: '/usr/bin:/bin', PORT: `${port}` }, stdio: 'ignore' })
  const ended = once(child, 'exit')
  while (!(await opens('127.0.0.1', port))) {
    if (child.exitCode !== null) throw new Error(`${program} ended with exit code ${child.exitCode}`)
    await wait(1)
  }
  const ms = performance.now() - from
  child.kill('SIGKILL')
  await ended
  return ms
}
