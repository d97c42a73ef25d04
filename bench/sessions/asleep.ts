import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { masterClient } from '../../src/api/client.ts'
import { mapAtMost } from '../../src/lib/parallel.ts'
import { Seals, sealKeys } from '../../src/lib/seals.ts'
import { openTask, sealTask } from '../../src/master/sealed-task.ts'
import { nameFor, sessionHosts } from '../../src/master/sessions/names.ts'
import { newToken } from '../../src/master/sessions/tokens.ts'
import { openStorage } from '../../src/master/storage/open.ts'
import { storagePlace } from '../../src/master/storage/place.ts'
import { hostname } from '../../src/model/hostname.ts'
import { type AppName, appName, volumeId } from '../../src/model/names.ts'
import type { TaskDefinition } from '../../src/model/task.ts'
import { TEST_SECRETS_KEY } from '../../src/testing/masters.ts'
import { installed } from '../../test/tools/installed.ts'
import { type Row, rowOfOne } from '../lib/bench.ts'
import { startDaemon } from '../lib/daemon.ts'
import { residentMiB } from '../lib/process.ts'
import { answeringNode, visitor } from '../master/front.ts'

const TEMPLATE = appName('bench')
const AT_ONCE = 32
const FEW = 10
const LOOKED_EVERY_MS = 100
const KIB = 1_024

type Stored = { readonly name: AppName; readonly host: string; readonly token: string }

/**
 * The memory of a master that knows so many sessions that are asleep, and of a front that knows the routes of all. Both are compared with themselves
 * without them.
 */
export async function asleep(size: number): Promise<Row[]> {
  await using held = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
  held.defer(() => rm(folder, { recursive: true }))
  const { shadow } = held.use(await installed())
  const place = `directory:${join(folder, 'store')}`
  const env = { SHADOW_STORAGE: place, SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_LOG_LEVEL: 'error' }
  const start = () =>
    startDaemon(shadow, ['master', '--json', '--data', join(folder, 'master'), '--listen', '127.0.0.1:0'], { env })
  const clientOf = async (url: string | undefined) => {
    const token = (await readFile(join(folder, 'master/tokens/admin'), 'utf8')).trim()
    return masterClient({ url: url ?? '', token, withinMs: 60_000 })
  }
  const template = { whenIdle: 'sleep', most: 100_000 } as const
  let before: number
  {
    await using empty = await start()
    const client = await clientOf(empty.ready['master'])
    // With a volume, which is on no node yet: one without would end with its node.
    const volume = { size: '1GiB' as const }
    await client.call('registerApp', {
      body: { name: TEMPLATE, image: 'busybox', command: ['httpd', '-f'], volume, template },
    })
    before = await residentMiB(empty.pid)
  }
  const sessions = await fill(place, size)
  const master = held.use(await start())
  const client = await clientOf(master.ready['master'])
  const names = sessions.map(({ name }) => name).sort()
  const query = { template: TEMPLATE, limit: 1, after: names.at(-2) as AppName }
  while ((await client.call('listSessions', { query })).items.length === 0)
    await new Promise(resolve => setTimeout(resolve, LOOKED_EVERY_MS))
  const perSession = ((await residentMiB(master.pid)) - before) * (KIB / size)

  held.use(await answeringNode({ client }))
  const { token } = await client.call('createToken', { body: { name: 'bench', role: 'proxy' } })
  const front = held.use(
    await startDaemon(shadow, ['proxy', '--json', '--data', join(folder, 'front'), '--listen', '127.0.0.1:0'], {
      env: {
        SHADOW_MASTER: master.ready['master'] ?? '',
        SHADOW_TOKEN: token,
        SHADOW_LOG_LEVEL: 'error',
        SHADOW_LOOK_UPS: '1000000', // the default for strangers is far below the rates here
      },
    }),
  )
  const visit = visitor(front.ready['address'] ?? '')
  const visitAll = (some: readonly Stored[]) => mapAtMost(AT_ONCE, some, one => visit(one.host, `/${one.token}/`))
  await visitAll(sessions.slice(0, FEW))
  const withFew = await residentMiB(front.pid)
  await visitAll(sessions)
  const inFront = ((await residentMiB(front.pid)) - withFew) * (KIB / size)
  return [
    rowOfOne(`${size} sessions asleep: memory of the master, each`, 'KiB', perSession),
    rowOfOne(`${size} sessions asleep: memory of a front that each was visited by, each`, 'KiB', inFront),
  ]
}

/** Writes the documents of so many sessions, as `connect` does. */
async function fill(place: string, size: number): Promise<readonly Stored[]> {
  await using storage = disposable(await openStorage(storagePlace(place)))
  const seals = new Seals(sealKeys(TEST_SECRETS_KEY))
  const found = await storage.get(`apps/${TEMPLATE}.json`)
  const { template: _, ...rest } = { ...(found?.value as Readonly<Record<string, unknown>>) }
  const task = openTask(rest['task'], seals) as TaskDefinition
  const domains = [hostname(`${TEMPLATE}.localhost`)]
  return await mapAtMost(
    AT_ONCE,
    Array.from({ length: size }, (_, number) => ({ name: `key-${number}`, namespace: 'bench' })),
    async key => {
      const name = nameFor(TEMPLATE, key)
      const hosts = sessionHosts(name, domains)
      const { token, stored } = newToken({ user: key.name })
      const facts = { template: TEMPLATE, key, whenIdle: 'sleep', visitors: 'token' }
      await storage.create(`apps/${name}.json`, {
        ...rest,
        name,
        domains: hosts,
        session: { ...facts, tokens: [stored] },
        task: sealTask({ ...task, app: name, volume: task.volume && { ...task.volume, id: volumeId(name) } }, seals),
      })
      return { name, host: hosts[0] as string, token }
    },
  )
}

const disposable = <T extends { close(): Promise<void> }>(one: T): T & AsyncDisposable =>
  Object.assign(one, { [Symbol.asyncDispose]: () => one.close() })
