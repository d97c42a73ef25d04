import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient, type NodeClient, nodeClient } from '../../src/api/client.ts'
import { HOP_INSTANCE, HOP_KEY, permitHeaders } from '../../src/api/paths.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { masterSettings } from '../../src/master/config.ts'
import { type Master, startMaster } from '../../src/master/main.ts'
import { SLEEP_STEPS, WAKE_STEPS } from '../../src/model/instance.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { type AppName, appName, nodeName } from '../../src/model/names.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { busyboxImage } from '../tools/images.ts'
import type { Input } from '../tools/node-that-dies.ts'

const run = promisify(execFile)
const docker = async (...args: string[]): Promise<string> => (await run('docker', args)).stdout.trim()
const PROGRAM = join(import.meta.dirname, '../tools/node-that-dies.ts')

// Each boot appends a line to a file on the volume. All earlier lines must still be there, in order.
const COMMAND = [
  'sh',
  '-c',
  'cat /proc/sys/kernel/random/uuid > /data/boot; cat /data/boot >> /data/boots; exec httpd -f -p 8000 -h /data',
]
const dying = appName('dying')
const steady = appName('steady')

const name = `${TEST_NODE_PREFIX}dies-${randomBytes(3).toString('hex')}`
let data: string
let master: Master
let settings: Record<string, string>
let foreign: string
/** The permits that a front would send to the node, by app. */
const permits = new Map<string, string>()

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  const config = readSettings(masterSettings, {}, { data, listen: '127.0.0.1:0' })
  master = await startMaster(config, { clock: systemClock, log: noLog })
  settings = { data, name, listen: '0', master: master.url, token: await master.nodeToken(nodeName(name)) }
  const image = await busyboxImage()
  const client = masterClient({ url: master.url, token: await master.token('admin'), withinMs: 10_000 })
  for (const app of [dying, steady]) {
    await client.call('registerApp', {
      body: {
        name: app,
        image,
        command: COMMAND,
        volume: { size: '16MiB' },
        sleep: { idleAfter: 'never', grace: '2s' },
      },
    })
    permits.set(app, (await client.call('getHost', { params: { hostname: `${app}.localhost` } })).permit)
  }
  foreign = await docker('run', '-d', '--label', 'shadow.node=somebody-else', image, 'sleep', '100000')
})

afterAll(async () => {
  if (foreign) await docker('rm', '-f', foreign)
  const left = await docker('ps', '-aq', '--filter', `label=shadow.node=${name}`)
  if (left !== '') await docker('rm', '-f', ...left.split('\n'))
  await master?.[Symbol.asyncDispose]()
  await rm(data, { recursive: true, force: true })
})

type Node = AsyncDisposable & {
  readonly child: ChildProcess
  readonly client: NodeClient
  get(app: string, path: string): Promise<string>
}

/** The input of a call about the app, as a master sends it. */
const about = (app: AppName) => ({ params: { instance: instanceId(app) }, headers: permitHeaders(permits.get(app)) })

async function start(dies?: Input['dies']): Promise<Node> {
  const input: Input = { settings, ...(dies && { dies }) }
  // The program starts two dozen times. Node's compile cache halves the time of each start but the first.
  const env = { ...process.env, NODE_COMPILE_CACHE: `${data}/compiled` }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(input)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  const { address, keys } = JSON.parse(line)
  return {
    child,
    client: nodeClient({ url: `http://${address}`, token: keys.control, withinMs: 30_000 }),
    get: (app, path) =>
      get(`http://${address}${path}`, {
        [HOP_INSTANCE]: app,
        [HOP_KEY]: keys.traffic,
        ...permitHeaders(permits.get(app)),
      }),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

function get(url: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { headers, agent: false })
      .on('response', async response => {
        const body = await text(response).catch(() => 'cut short')
        if (response.statusCode === 200) resolve(body)
        else reject(new Error(`${response.statusCode}: ${body}`))
      })
      .on('error', reject)
      .end()
  })
}

/** Ids of the app's containers on our node, whether they run or not. */
const containersOf = async (app: string): Promise<string[]> => {
  const ids = await docker('ps', '-aq', '--filter', `label=shadow.node=${name}`, '--filter', `label=shadow.app=${app}`)
  return ids === '' ? [] : ids.split('\n')
}
/** Mounts and loop devices of the app's volume. */
const groundOf = async (app: string): Promise<string[]> =>
  (await traces()).filter(trace => trace.includes(`${data}/volumes/${app}/`))

// The app of this journey uses no other.
const STEPS = WAKE_STEPS.filter(step => step !== 'companions')
const DIES_ASLEEP = STEPS.flatMap(step => [`before ${step}`, `after ${step}`])
const DIES_AWAKE = [...SLEEP_STEPS].flatMap(step => [`before ${step}`, `after ${step}`])
// At these steps the container is ready, so the next node adopts it and goes on serving.
const SERVES_ON = ['after ready', 'before stop']

describe('a node that is killed', () => {
  let boots: string[] = []

  for (const at of [...DIES_ASLEEP, ...DIES_AWAKE]) {
    test(`${at} leaves nothing half-way, and harms neither data, nor other apps, nor what is not ours`, async () => {
      let steadyBoot: string
      let steadyAddress: string
      {
        await using node = await start({ app: dying, at })
        steadyBoot = await node.get(steady, '/boot')
        const instance = await node.client.call('getInstance', about(steady))
        steadyAddress = instance.container?.address ?? ''
        const ended = once(node.child, 'exit')
        if (DIES_AWAKE.includes(at)) {
          await node.get(dying, '/boot')
          await assert.rejects(node.client.call('sleepInstance', about(dying)))
        } else await assert.rejects(node.get(dying, '/boot'))
        assert.deepEqual(await ended, [null, 'SIGKILL'])
      }
      assert.equal(await get(`http://${steadyAddress}/boot`), steadyBoot)

      await using again = await start()
      const { phase } = await again.client.call('getInstance', about(dying))
      const containers = await containersOf(dying)
      if (phase === 'awake') assert.equal(containers.length, 1)
      else assert.deepEqual([phase, containers, await groundOf(dying)], ['asleep', [], []])
      if (SERVES_ON.includes(at)) assert.equal(phase, 'awake')

      const now = (await again.get(dying, '/boots')).trim().split('\n')
      assert.deepEqual(now.slice(0, boots.length), boots)
      boots = now
      assert.equal(await again.get(steady, '/boot'), steadyBoot)
      assert.equal(await docker('inspect', '-f', '{{.State.Running}}', foreign), 'true')

      await again.client.call('sleepInstance', about(dying))
      assert.deepEqual([await containersOf(dying), await groundOf(dying)], [[], []])
    })
  }

  test('while an app is frozen leaves it as it was, and loses nothing of it', async () => {
    let boot: string
    {
      await using node = await start()
      boot = await node.get(dying, '/boot')
      const { phase } = await node.client.call('sleepInstance', { ...about(dying), query: { to: 'frozen' } })
      assert.equal(phase, 'frozen')
      node.child.kill('SIGKILL')
      await once(node.child, 'exit')
    }
    await using again = await start()
    assert.equal((await again.client.call('getInstance', about(dying))).phase, 'frozen')
    assert.equal(await again.get(dying, '/boot'), boot)
    boots = (await again.get(dying, '/boots')).trim().split('\n')
    await again.client.call('sleepInstance', about(dying))
    assert.deepEqual([await containersOf(dying), await groundOf(dying)], [[], []])
  })

  test('in the end all of it sleeps, and nothing is left', async () => {
    await using node = await start()
    await node.client.call('sleepInstance', about(steady))
    assert.deepEqual(await containersOf(steady), [])
    assert.deepEqual(
      (await traces()).filter(trace => trace.includes(data)),
      [],
    )
  })
})
