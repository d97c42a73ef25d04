import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import type { InstanceView } from '../../src/model/instance.ts'
import { Apart } from '../tools/apart.ts'
import { register, until } from '../tools/shadow.ts'

const CLIENTS = 6
let apart: Apart
beforeAll(async () => {
  apart = await Apart.start(['a', 'b'])
  await register(apart.admin, 'web', {
    env: { RELEASE: '1' },
    scale: { min: 4, max: 4, concurrency: { soft: 2, hard: 4 } },
  })
})
afterAll(() => apart[Symbol.asyncDispose]())

const awake = async (): Promise<InstanceView[]> =>
  (await apart.admin.call('listInstances', {})).items.filter(one => one.app === 'web' && one.phase === 'awake')
const update = (env: Readonly<Record<string, string>>) =>
  apart.admin.call('updateApp', { params: { app: 'web' }, body: { env } })

/** Clients that ask again and again while the action runs: which releases answered each of them, and what failed. */
async function underLoad(action: () => Promise<void>) {
  let done = false
  const failed: string[] = []
  const clients = Array.from({ length: CLIENTS }, async () => {
    const releases = new Set<string>()
    while (!done) {
      const { status, json, text } = await apart.ask('web', '/env')
      if (status === 200) releases.add(json.RELEASE)
      else failed.push(`${status} ${text}`)
    }
    return releases
  })
  await action().finally(() => {
    done = true
  })
  return { failed, releases: new Set((await Promise.all(clients)).flatMap(each => [...each])) }
}

/** Follows the rollout to its end: in which order instances came to which stage, and the outcome. */
async function rolledOut(): Promise<{ stages: string[]; outcome: string; serves: number | null }> {
  const { body } = await apart.admin.raw('followRollout', { params: { app: 'web' }, query: {}, signal: never() })
  const stages: string[] = []
  let rest = ''
  for await (const chunk of body.setEncoding('utf8')) rest += String(chunk)
  for (const line of rest.split('\n').filter(Boolean)) {
    const told = JSON.parse(line)
    if ('outcome' in told) return { stages, ...told }
    stages.push(`${told.instance} ${told.stage}`)
  }
  throw new Error(`the rollout has no end: ${rest}`)
}
const never = (): AbortSignal => new AbortController().signal

test('a deploy over four instances on two nodes loses no request, and no node is without one that serves', async () => {
  const before = await until(async () => {
    const all = await awake()
    return all.length === 4 ? all : undefined
  })
  assert.deepEqual(new Set(before.map(({ node }) => node)), new Set([apart.nameOf('a'), apart.nameOf('b')]))
  const { failed, releases } = await underLoad(async () => {
    for (const release of ['2', '3']) {
      await update({ RELEASE: release })
      const { outcome, stages } = await rolledOut()
      assert.equal(outcome, 'serves', stages.join(', '))
    }
  })
  assert.deepEqual(failed, [])
  assert.deepEqual([...releases].toSorted(), ['1', '2', '3'])
  const after = await awake()
  assert.deepEqual(
    after.map(({ instance, revision }) => [instance, revision]).toSorted(),
    ['web', 'web.2', 'web.3', 'web.4'].map(instance => [instance, 3]),
  )
  assert.deepEqual(
    after.map(({ instance, node }) => `${instance} on ${node}`).toSorted(),
    before.map(({ instance, node }) => `${instance} on ${node}`).toSorted(),
  )
})

test('a release that does not get ready is rejected on both nodes, and the one before it serves every request', async () => {
  const { failed, releases } = await underLoad(async () => {
    await update({ RELEASE: '4', EXIT_AT_BOOT: '3' })
    const { outcome, serves } = await rolledOut()
    assert.deepEqual([outcome, serves], ['rejected', 3])
  })
  assert.deepEqual(failed, [])
  assert.deepEqual([...releases], ['3'])
  assert.deepEqual(new Set((await awake()).map(({ revision }) => revision)), new Set([3]))
})
