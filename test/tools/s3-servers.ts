import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { StoragePlace } from '../../src/master/storage/place.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { here, type Place } from './place.ts'

/** A store that runs until it is disposed. `stop` and `start` end it and start it again with its data. */
export type S3Server = AsyncDisposable & {
  place(bucket: string): StoragePlace
  /** The folder with the content of its buckets. */
  readonly folder: string
  stop(): Promise<void>
  start(): Promise<void>
}

type Program = { file: string; args: (at: string, data: string) => string[]; ready: string }

/** MinIO from the PATH, else the one that `make` built into the cache folder; undefined if there is none. */
export async function minio(place: Place = here): Promise<S3Server | undefined> {
  const cached = join(process.env['SHADOW_CACHE'] ?? join(homedir(), '.cache/shadow'), 'bin/minio')
  const file = (await onPath('minio')) ?? (await executable(cached))
  return file === undefined
    ? undefined
    : serve(place, {
        file,
        args: (at, data) => ['server', '--quiet', '--address', at, '--console-address', '127.0.0.1:0', data],
        ready: '/minio/health/ready',
      })
}

const CREDENTIALS = { accessKeyId: 'shadowtest', secretAccessKey: 'shadowtestsecret' }

async function serve(on: Place, { file, args, ready }: Program): Promise<S3Server> {
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-s3-'))
  const port = await freePort()
  const at = `${on.address}:${port}`
  const endpoint = `http://${at}`
  let child: ChildProcess | undefined

  const start = async (): Promise<void> => {
    child = on.spawn([file, ...args(at, data)], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: {
        ...process.env,
        MINIO_ROOT_USER: CREDENTIALS.accessKeyId,
        MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey,
        MINIO_UPDATE: 'off',
      },
    })
    for (const end = performance.now() + 30_000; ; await wait(50)) {
      const answered = await fetch(`${endpoint}${ready}`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (answered) return
      if (child.exitCode !== null) throw new Error(`${file} ended with exit code ${child.exitCode}`)
      if (performance.now() > end) throw new Error(`${file} was not ready within 30 s`)
    }
  }
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    on.signal(child, 'SIGKILL')
    await ended
  }

  await start()
  return {
    folder: data,
    place: bucket => ({ kind: 's3', endpoint, bucket, region: 'us-east-1', credentials: CREDENTIALS }),
    stop,
    start,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(data, { recursive: true, force: true })
    },
  }
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await executable(join(folder, name))
    if (found !== undefined) return found
  }
  return undefined
}

const executable = (file: string): Promise<string | undefined> =>
  access(file, constants.X_OK).then(
    () => file,
    () => undefined,
  )
