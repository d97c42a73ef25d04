import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Seals, sealKeys } from '../../src/lib/seals.ts'
import { initCluster } from '../../src/master/cluster/authority.ts'
import { directory } from '../../src/master/storage/directory.ts'
import { NOTHING_USED } from '../../src/model/usage.ts'
import { HandClock } from '../../src/testing/clock.ts'
import { countingStorage } from '../../src/testing/counting-storage.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { anAnnouncement } from '../../src/testing/front.ts'
import { TEST_SECRETS_KEY, testMaster } from '../../src/testing/masters.ts'
import { costTable, REQUESTS } from './costs.ts'

test('the table of costs is the calculated one', () => {
  expect(readFileSync(join(import.meta.dirname, '../../docs/deploy/aws.md'), 'utf8')).toContain(costTable())
})

test('a master of a cluster makes no more requests to the bucket than were calculated with', async () => {
  const clock = new HandClock(Date.now())
  const inner = await directory({ path: temporaryFolder('shadow-test-costs-') })
  await initCluster({ storage: inner, seals: new Seals(sealKeys(TEST_SECRETS_KEY)), clock, url: 'https://127.0.0.1:1' })
  const { storage, calls, settled } = countingStorage(inner)
  await using on = await testMaster(storage, clock)
  const nodes = ['n1', 'n2', 'n3']
  const announce = (node: string) =>
    on.admin.call('announceNode', {
      params: { node },
      body: anAnnouncement({ key: `key-of-${node}-0123456789`, address: `10.0.0.1:${node.slice(1)}` }),
    })
  for (const node of nodes) await announce(node)
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'x', volume: { size: '1GiB', driver: 'ebs' } } })

  /** The requests that `work` makes, as S3 has them. */
  const countOf = async (work: () => Promise<unknown>) => {
    await settled() // what the master looks for now and then, since the clock was moved
    calls.length = 0
    await work()
    const is = (...names: string[]): number => calls.filter(name => names.includes(name)).length
    return { get: is('get'), put: is('create', 'update', 'remove'), list: is('list', 'versions') }
  }
  const within = (counted: Awaited<ReturnType<typeof countOf>>, calculated: typeof counted): void => {
    for (const kind of ['get', 'put', 'list'] as const)
      expect(counted[kind], kind).toBeLessThanOrEqual(calculated[kind])
  }

  const seconds = 600
  const idle = await countOf(async () => {
    for (let second = 0; second < seconds; second++) await clock.advance(1_000)
  })
  const { get, put, list } = REQUESTS.perMasterAndSecond
  within(idle, { get: get * seconds, put: put * seconds, list: list * seconds })

  await announce('n1')
  await clock.advance(1_000)
  within(await countOf(() => announce('n1')), REQUESTS.perAnnouncement)

  await clock.advance(1_000)
  const { perListOfNodes } = REQUESTS
  within(await countOf(() => on.admin.call('listNodes', {})), {
    ...perListOfNodes,
    get: perListOfNodes.get + nodes.length * perListOfNodes.getForEachNode,
  })

  const report = (requests: number) =>
    on.admin.call('reportUsage', {
      params: { node: 'n1' },
      body: {
        counter: '7d444840-9dc0-11d1-b245-5ffdce74fad2',
        apps: [{ day: '2026-12-31', app: 'blog', used: { ...NOTHING_USED, requests } }],
      },
    })
  await report(1)
  await settled()
  within(
    await countOf(async () => {
      await report(2)
      await settled()
    }),
    REQUESTS.perUsageReport,
  )

  const params = { volume: 'blog' }
  const wake = async () => {
    const body = { node: 'n1', forMs: 60_000, driver: 'ebs', boot: 'boot-1' } as const
    const { lease } = await on.admin.call('leaseVolume', { params, body })
    await on.admin.call('releaseVolume', { params, query: { node: 'n1', epoch: String(lease?.epoch) } })
  }
  await wake()
  within(await countOf(wake), REQUESTS.perWake)
})
