// Front → node → container: two processes, on one core unless the setup says otherwise. The node's process, which also runs the master, is this program with `node` as its
// last argument.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { runDaemon } from '../../src/cli/daemon.ts'
import { writeEndpoints } from '../../src/cli/endpoints.ts'
import { systemTerminal } from '../../src/cli/terminal.ts'
import { startMaster } from '../../src/master/main.ts'
import { nameOf } from '../../src/nodeproxy/config.ts'
import { startNodeproxy } from '../../src/nodeproxy/main.ts'
import { startProxy } from '../../src/proxy/main.ts'
import { tellHeapIn } from '../lib/heap.ts'
import { benchDrivers, configOf } from './composed.ts'
import type { Setup } from './setup.ts'

const [, self = '', file = '', part] = process.argv
const setup: Setup = JSON.parse(readFileSync(file, 'utf8'))
const config = configOf(setup)

if (part === 'node') await node()
else await front()

async function node(): Promise<void> {
  await runDaemon({ name: 'node', level: 'warn', terminal: systemTerminal() }, async ({ clock, log }) => {
    const master = await startMaster(config.master, { clock, log })
    const token = await master.nodeToken(nameOf(config.nodeproxy))
    const node = await startNodeproxy(
      { ...config.nodeproxy, master: master.url, token },
      { clock, log, drivers: benchDrivers() },
    )
    await writeEndpoints(config.data, { master: master.url })
    process.stdout.write(`${JSON.stringify({ master: master.url, token: await master.token('proxy') })}\n`)
    return {
      async stop(options) {
        await node.stop(options)
        await master[Symbol.asyncDispose]()
      },
    }
  })
}

async function front(): Promise<void> {
  tellHeapIn(setup.folder)
  const command = [process.execPath, ...process.execArgv, self, file, 'node']
  const [program = '', ...args] =
    setup.nodeCore === undefined ? command : ['taskset', '-c', String(setup.nodeCore), ...command]
  const node = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => node.kill('SIGKILL'))
  const [said] = await once(node.stdout, 'data')
  const { master, token }: { master: string; token: string } = JSON.parse(String(said))
  await runDaemon({ name: 'front', level: 'warn', terminal: systemTerminal() }, async given => {
    const proxy = await startProxy({ ...config.proxy, master, token }, given)
    return {
      async stop() {
        await proxy[Symbol.asyncDispose]()
        node.kill('SIGTERM')
      },
    }
  })
}
