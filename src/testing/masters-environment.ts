import assert from 'node:assert/strict'
import type { MasterClient } from '../api/client.ts'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'
import type { HandClock } from './clock.ts'
import { dyingStorage } from './dying-storage.ts'
import { type TestMaster, testMaster } from './masters.ts'

export const RACERS = 20

/** One store, and masters on it, controlled by a test. Each call of `open` gives a client of the store. */
export class MastersEnvironment {
  readonly open: () => Promise<Storage>
  #count = 0

  constructor(open: () => Promise<Storage>) {
    this.open = open
  }

  /** A name that is not used on this store. */
  fresh(what: string): string {
    return `${what}-${Date.now().toString(36)}-${this.#count++}`
  }

  /** Runs a test on two masters. Afterwards all apps and domains must agree. */
  async two(run: (one: TestMaster, other: TestMaster) => Promise<void>): Promise<void> {
    await using one = await testMaster(await this.open())
    await using other = await testMaster(await this.open())
    await run(one, other)
    await allAgree(one.admin)
  }

  /** Runs a call on a master that dies after this many writes. */
  async dying(writes: number, clock: HandClock, run: (admin: MasterClient) => Promise<unknown>): Promise<void> {
    const storage = await this.open()
    let current: Storage = storage
    const bound: Storage = {
      name: storage.name,
      close: () => storage.close(),
      get: (...args) => current.get(...args),
      list: (...args) => current.list(...args),
      versions: (...args) => current.versions(...args),
      create: (...args) => current.create(...args),
      update: (...args) => current.update(...args),
      remove: (...args) => current.remove(...args),
    }
    await using master = await testMaster(bound, clock)
    await master.admin.call('listTokens', {}) // from now on the master knows the token
    current = dyingStorage(storage, writes)
    await run(master.admin).catch(error => {
      if (!isFailure(error, 'storage-unreachable')) throw error
    })
  }
}

/** The callers, spread over the masters, that succeeded; all others must have failed with one of the codes. */
export async function race(
  masters: readonly TestMaster[],
  run: (admin: MasterClient, racer: number) => Promise<unknown>,
  ...codes: FailureCode[]
): Promise<number[]> {
  const runs = Array.from({ length: RACERS }, (_, racer) => run(masters[racer % masters.length]!.admin, racer))
  const results = await Promise.allSettled(runs)
  return results.flatMap((result, racer) => {
    if (result.status === 'fulfilled') return racer
    if (!isFailure(result.reason, ...codes)) throw result.reason
    return []
  })
}

/** Fails if two apps have one domain, or if a domain leads to another app than the one that has it. */
export async function allAgree(admin: MasterClient): Promise<void> {
  const { items } = await admin.call('listApps', { query: { limit: 1000 } })
  const owners = new Map<string, string>()
  for (const { name, domains } of items)
    for (const domain of domains) {
      assert.equal(owners.get(domain), undefined, `${domain} is of ${owners.get(domain)} and of ${name}`)
      owners.set(domain, name)
    }
  for (const [hostname, name] of owners)
    assert.equal((await admin.call('getHost', { params: { hostname } })).name, name)
}

export const exists = (admin: MasterClient, app: string): Promise<boolean> =>
  admin.call('getApp', { params: { app } }).then(
    () => true,
    error => {
      if (isFailure(error, 'app-not-found')) return false
      throw error
    },
  )
