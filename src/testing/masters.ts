import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Role } from '../api/call-shape.ts'
import { type MasterClient, masterClient } from '../api/client.ts'
import { readSettings } from '../lib/settings.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { masterSettings } from '../master/config.ts'
import { type Master, startMaster } from '../master/main.ts'
import type { Storage } from '../master/storage/storage.ts'
import { MASTER_HOST } from '../model/member.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from './clock.ts'
import { silentLog } from './silent-log.ts'

type Http = { status: number; headers: Headers; body: unknown }
type Sent = { body?: unknown; headers?: Record<string, string>; token?: string | null }

/** A listening master, and clients of it. */
export type TestMaster = AsyncDisposable & {
  readonly master: Master
  readonly admin: MasterClient
  /** A client with a token of this role. For the role `node`, the name is the node's. */
  as(role: Exclude<Role, 'owner'>, node?: string): Promise<MasterClient>
  /** A client with this token. */
  client(token: string): MasterClient
  /** A raw HTTP call; strings are sent unchanged. */
  http(method: string, path: string, sent?: Sent): Promise<Http>
}

/** All test masters have the same key, as all masters of one store must. */
export const TEST_SECRETS_KEY = Buffer.alloc(32, 7).toString('base64')

/** Starts a master on the storage with a data folder of its own. */
export async function testMaster(
  storage: Storage,
  clock = new HandClock(),
  settings: Record<string, string> = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY },
  given: { readonly pages?: string } = {},
): Promise<TestMaster> {
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-master-'))
  const removed = () => rm(data, { recursive: true, force: true })
  const start = async (): Promise<Master> => {
    const env = { SHADOW_DATA: data, SHADOW_MASTER_LISTEN: '127.0.0.1:0', ...settings }
    return startMaster(readSettings(masterSettings, env), { clock, log: silentLog, storage, ...given })
  }
  const master = await start().catch(async error => {
    await removed()
    throw error
  })
  const adminToken = await master.token('admin')
  const { url, ca } = master
  const tls = ca === undefined ? undefined : { servername: MASTER_HOST, credentials: new Credentials({ ca }) }
  const client = (token: string): MasterClient => masterClient({ url, token, tls, withinMs: 30_000 })
  return {
    master,
    admin: client(adminToken),
    as: async (role, node = 'n1') =>
      client(await (role === 'node' ? master.nodeToken(nodeName(node)) : master.token(role))),
    client,
    async http(method, path, { body, headers = {}, token = adminToken } = {}) {
      const response = await fetch(`${master.url}${path}`, {
        method,
        headers: {
          ...(token !== null && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
    },
    async [Symbol.asyncDispose]() {
      await master[Symbol.asyncDispose]()
      await removed()
    },
  }
}
