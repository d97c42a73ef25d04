import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { TEST_SECRETS_KEY } from '../../src/testing/masters.ts'
import { startDaemon } from '../lib/daemon.ts'
import { multiply } from './stores.ts'

/** A look-up server in a process of its own, over this many apps in a store. */
export type Served = {
  readonly size: number
  readonly place: string
  readonly pid: number
  readonly url: string
  readonly client: MasterClient
  /** Starts another server on the same store, returns after how many ms it listened, and ends it. */
  readonly startAnother: () => Promise<number>
}

type Given = { readonly shadow: string; readonly folder: string; readonly place: string; readonly size: number }

const CALL_WITHIN_MS = 60_000
const BARE = join(import.meta.dirname, '../fixtures/bare-lookup.ts')

/** A master over `size` apps: the first is registered through its API, the others are copies of its documents. */
export async function startMasterOf({ shadow, folder, place, size }: Given): Promise<Served & AsyncDisposable> {
  const env = { SHADOW_STORAGE: place, SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_LOG_LEVEL: 'error' }
  const start = (data: string) =>
    startDaemon(shadow, ['master', '--json', '--data', data, '--listen', '127.0.0.1:0'], { env })
  const master = await start(folder)
  const { master: url = '' } = master.ready
  const token = (await readFile(join(folder, 'tokens/admin'), 'utf8')).trim()
  const client = masterClient({ url, token, withinMs: CALL_WITHIN_MS })
  await register(client, 'app-0')
  await multiply(place, size)
  return {
    size,
    place,
    pid: master.pid,
    url,
    client,
    async startAnother() {
      await using another = await start(`${folder}-again`)
      return another.startMs
    },
    [Symbol.asyncDispose]: () => master[Symbol.asyncDispose](),
  }
}

/** The smallest possible look-up server, over the same store. */
export async function startBare({ place, size }: Pick<Given, 'place' | 'size'>): Promise<Served & AsyncDisposable> {
  const bare = await startDaemon(process.execPath, [BARE, place])
  const { master: url = '' } = bare.ready
  return {
    size,
    place,
    pid: bare.pid,
    url,
    client: masterClient({ url, token: 'none', withinMs: CALL_WITHIN_MS }),
    startAnother: async () => bare.startMs,
    [Symbol.asyncDispose]: () => bare[Symbol.asyncDispose](),
  }
}

export const hostOf = (number: number): string => `app-${number}.localhost`

export const lookUp = (client: MasterClient, hostname: string) => client.call('getHost', { params: { hostname } })

export const register = (client: MasterClient, name: string) =>
  client.call('registerApp', {
    body: { name, image: 'busybox', command: ['httpd', '-f'], volume: { size: '1GiB' }, env: { GREETING: 'hello' } },
  })
