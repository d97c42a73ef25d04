import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../../src/testing/free-port.ts'

/** An EC2 API on this machine, empty, until it is disposed of. */
export type Ec2Server = AsyncDisposable & { readonly endpoint: string }

const READY_WITHIN_MS = 60_000

/** moto_server, where `contrib/dev/setup --ec2` has installed it; undefined where it could not. */
export async function moto(): Promise<Ec2Server | undefined> {
  const found = execFileSync(join(import.meta.dirname, '../../contrib/dev/find-moto'), { encoding: 'utf8' }).trim()
  if (found === '') return undefined
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const child = spawn(found, ['--host', '127.0.0.1', '--port', `${port}`], { stdio: 'ignore' })
  const end = performance.now() + READY_WITHIN_MS
  while (!(await answers(endpoint))) {
    if (child.exitCode !== null || performance.now() > end) {
      await stop(child)
      throw new Error(`${found} does not answer; its exit code: ${child.exitCode}`)
    }
    await wait(50)
  }
  return { endpoint, [Symbol.asyncDispose]: () => stop(child) }
}

const answers = (endpoint: string): Promise<boolean> =>
  fetch(`${endpoint}/moto-api/data.json`).then(
    ({ ok }) => ok,
    () => false,
  )

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
