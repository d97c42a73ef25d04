import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { NodeClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { exec } from '../lib/exec.ts'
import { KeyedMutex, Mutex } from '../lib/mutex.ts'
import { Seals } from '../lib/seals.ts'
import type { Apps } from '../master/apps.ts'
import { type AppBackups, appBackups } from '../master/backups/app-backups.ts'
import { openRepositoryFiles } from '../master/backups/open.ts'
import { type BackupRecords, backupRecords } from '../master/backups/records.ts'
import type { RepositoryFiles } from '../master/backups/repository-files.ts'
import { type BackupRuns, backupRuns } from '../master/backups/runs.ts'
import { snapshotRecords } from '../master/snapshots/records.ts'
import { volumeSnapshots } from '../master/snapshots/snapshots.ts'
import { directory } from '../master/storage/directory.ts'
import type { App } from '../model/app.ts'
import { type AppName, appName, nodeName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import { backupHandlers } from '../nodeproxy/backups/handlers.ts'
import { openVolumeBackups } from '../nodeproxy/backups/open.ts'
import { BusyVolumes } from '../nodeproxy/snapshots/busy-volumes.ts'
import { snapshotHandlers } from '../nodeproxy/snapshots/handlers.ts'
import { Moments } from '../nodeproxy/snapshots/moments.ts'
import { VolumeRestores } from '../nodeproxy/snapshots/volume-restores.ts'
import { VolumeSnapshots } from '../nodeproxy/snapshots/volume-snapshots.ts'
import { VolumeViews } from '../nodeproxy/snapshots/volume-views.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'
import { imageSnapshots } from '../nodeproxy/volumes/image-snapshots.ts'
import { HandClock } from './clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from './masters.ts'
import { silentLog } from './silent-log.ts'

const run = promisify(execFile)
const NODE = nodeName('n1')

/**
 * Backups with all parts but Docker: a master that serves the repositories over HTTP, a node with images of ext4 and restic, and another
 * master that starts the runs, in this process. Apps are asleep, and are known by their names alone.
 */
export type BackupWorld = AsyncDisposable & {
  readonly clock: HandClock
  readonly files: RepositoryFiles
  readonly records: BackupRecords
  readonly runs: BackupRuns
  readonly backups: AppBackups
  readonly master: TestMaster
  /** The store, which the masters share. */
  readonly store: string
  readonly journal: string[]
  /** Makes an app with an image of its volume; in a cloud, with a volume that is not made yet. */
  app(name: string, options?: { readonly inCloud?: boolean }): Promise<AppName>
  image(app: AppName): string
  /** Keeps the app's image, its repository and its record as they are. */
  keep(name: string): Promise<void>
  /** Brings back what was kept, and nothing else that is beside it. */
  bringBack(name: string): Promise<void>
  /** The node starts again. */
  recover(): Promise<void>
  /** Resolves when a file of a repository is refused next. */
  refusals(): Promise<void>
  /** Another master on the same store. */
  other(): AppBackups
  /** Called before each call of the node; may throw. */
  onNode: (name: string) => void | Promise<void>
}

const USUAL_BYTES = 32 * 2 ** 20

type Options = {
  readonly imageBytes?: number
  /** The driver of volumes in a cloud. */
  readonly cloud?: { readonly name: 'ebs' | 'digitalocean'; readonly driver: BlockDriver }
}

export async function backupWorld(
  resticPath: string,
  { imageBytes = USUAL_BYTES, cloud }: Options = {},
): Promise<BackupWorld> {
  const root = await mkdtemp(join(tmpdir(), 'shadow-test-backups-'))
  const store = join(root, 'store')
  const folder = join(root, 'volumes')
  const clock = new HandClock()
  const storage = await directory({ path: store })
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${store}` }
  const master = await testMaster(storage, clock, settings)
  const files = await openRepositoryFiles({ kind: 'directory', path: store })
  const seals = new Seals([Buffer.from(TEST_SECRETS_KEY, 'base64')])
  const records = backupRecords({ storage, seals })
  const runs = backupRuns({ records, seals, clock, log: silentLog })
  const known = new Map<AppName, App>()
  const journal: string[] = []
  const image = (app: AppName): string => join(folder, app, 'image.ext4')

  let onRefusal: () => void = () => undefined
  const asNode = await master.as('node', NODE)
  const watched = {
    raw: (...call: Parameters<typeof asNode.raw>) =>
      asNode.raw(...call).catch(error => {
        if (isFailure(error, 'storage-unreachable')) onRefusal()
        throw error
      }),
  } as typeof asNode
  const mustKnow = (name: AppName): App => {
    const app = known.get(name)
    if (app === undefined) throw new ShadowError('app-not-found', `no app is called ${name}`)
    return app
  }

  const turn = new Mutex()
  let epoch = 1
  const bytes = imageSnapshots({ root: async () => folder, turns: new KeyedMutex(), exec })
  const driver = { excludes: true, file: image, snapshots: bytes } as unknown as BlockDriver
  const volumes = new BlockDrivers({ loop: driver, ...(cloud && { [cloud.name]: cloud.driver }) })
  const moments = new Moments({
    volumes,
    leases: { take: async () => ({ epoch: ++epoch, lost: undefined }), release: async () => undefined } as never,
    filesystem: { sync: async () => undefined } as never, // no app is awake
    instanceOf: async app =>
      ({
        volume: volumeId(app),
        task: mustKnow(app).task,
        whileAsleep: <T>(action: () => Promise<T>) => turn.take(action),
        inTurn: <T>(action: (awake: undefined) => Promise<T>) => turn.take(() => action(undefined)),
      }) as never,
  })
  const onDisk = {
    moments,
    busy: new BusyVolumes(),
    journal: (_: unknown, line: string) => void journal.push(line),
    clock,
    log: silentLog,
  }
  const restores = new VolumeRestores(onDisk)
  const node = openVolumeBackups({
    ...onDisk,
    folder,
    node: NODE,
    volumes,
    restores,
    views: new VolumeViews({ ...onDisk, volumes, folder: join(root, 'views') }),
    config: { restic: resticPath, backupsAtOnce: 1, diskFloor: 0 },
    master: watched,
    exec,
  })
  const ending = new AbortController().signal
  const handlers = {
    ...backupHandlers(node, ending),
    ...snapshotHandlers({
      snapshots: new VolumeSnapshots(onDisk),
      restores,
      arrivals: undefined as never,
      growth: undefined as never,
      ending,
    }),
  }
  const client = {
    async call(
      name: keyof typeof handlers,
      { params, query, body, signal = ending }: { params: object; query?: object; body?: object; signal?: AbortSignal },
    ) {
      await world.onNode(name)
      return handlers[name]({ params, query, body } as never, { signal, permit: undefined })
    },
  } as unknown as NodeClient

  const at = async () => ({ node: NODE, client, headers: {} }) as never
  const masterOf = (): AppBackups =>
    appBackups({
      snapshots: volumeSnapshots({
        apps: { read: async name => ({ state: 'live', app: mustKnow(name), etag: '1' }) },
        records: snapshotRecords({ storage, clock }),
        relay: { atVolume: at, nodeClient: async () => client, nodeWithDriver: async () => NODE },
        clock,
        log: silentLog,
      }),
      apps: { find: async (name: AppName) => ({ app: mustKnow(name), etag: '' }) } as unknown as Apps,
      secrets: { values: async () => ({}) },
      records,
      runs: backupRuns({ records, seals, clock, log: silentLog }),
      files,
      relay: { nodeFor: at },
      nodes: { get: async () => ({ state: 'healthy' }) as never },
      clock,
      policySet: () => undefined,
      addressOf: volume => join(store, 'backups', volume),
    })
  const places = (name: string) =>
    [
      join(folder, name),
      join(folder, '.snapshots', name),
      join(store, 'backups', name),
      join(store, 'snapshots', name),
      join(store, 'backup-records', `${name}.json`),
    ].map((at, n) => [at, join(root, `kept-${n}`)] as const)

  const world: BackupWorld = {
    clock,
    files,
    records,
    runs,
    backups: masterOf(),
    master,
    store,
    journal,
    image,
    other: masterOf,
    recover: () => node.recover(),
    refusals: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      onRefusal = resolve
      return promise
    },
    onNode: () => undefined,
    async app(text, { inCloud = false } = {}) {
      const name = appName(text)
      const volume = {
        id: volumeId(name),
        size: size(`${imageBytes / 2 ** 20}MiB`),
        ...(inCloud && { driver: cloud?.name }),
      }
      known.set(name, { name, task: { app: name, volume } } as unknown as App)
      if (inCloud) return name
      await mkdir(join(folder, name), { recursive: true })
      await run('truncate', ['-s', String(imageBytes), image(name)])
      await run('/sbin/mkfs.ext4', ['-q', '-F', image(name)])
      return name
    },
    async keep(name) {
      for (const [at, kept] of places(name)) if (await isThere(at)) await run('cp', ['-a', '--sparse=always', at, kept])
    },
    async bringBack(name) {
      for (const [at, kept] of places(name)) {
        await rm(at, { recursive: true, force: true })
        if (await isThere(kept)) await rename(kept, at)
      }
    },
    async [Symbol.asyncDispose]() {
      await master[Symbol.asyncDispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
  return world
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
