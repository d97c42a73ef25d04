import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import { type Log, noLog } from '../lib/log.ts'
import { NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { Announcer } from './announce.ts'

/** What a node logs while a master answers its announcements in this way, one after the other. */
async function loggedWith(answers: readonly (object | ShadowError)[]): Promise<string[]> {
  const clock = new HandClock()
  const lines: string[] = []
  const note = (msg: string, fields: object = {}) => void lines.push(`${msg} ${JSON.stringify(fields)}`)
  const left = [...answers]
  const call = async () => {
    const answer = left.shift() ?? {}
    if (answer instanceof ShadowError) throw answer
    return { cordon: null, ...answer }
  }
  const announcer = new Announcer({
    master: { call } as unknown as MasterClient,
    node: nodeName('n1'),
    address: '10.0.0.1:8081',
    labels: undefined,
    keys: { traffic: 'x', control: 'y' },
    health: { now: async () => ({ overall: false, cpu_utilization: 0, memory_utilization: 0 }) } as never,
    facts: async () => ({}) as never,
    cordon: { take: () => undefined, toLeave: undefined },
    onRevoked: () => undefined,
    awake: () => 0,
    volumeDrivers: ['loop'],
    clock,
    log: { ...noLog, info: note, warn: note } as Log,
  })
  const ending = new AbortController()
  const running = announcer.run(ending.signal)
  for (const _ of answers) await clock.advance(NODE_ANNOUNCES_EVERY)
  ending.abort()
  await clock.advance(NODE_ANNOUNCES_EVERY)
  await running
  return lines
}

test('a node whose clock is off says so once, and once more when it is right again', async () => {
  const off = { clockAheadMs: 3_600_000 }
  const lines = await loggedWith([{}, off, off, {}, {}])
  assert.equal(lines.length, 2, lines.join('\n'))
  assert.match(lines[0] ?? '', /^clock differs from that of the master .*"aheadMs":3600000.*timedatectl/)
  assert.match(lines[1] ?? '', /^clock agrees with that of the master again/)
})

test('a node whose name another machine has says once which one, and what to do', async () => {
  const taken = new ShadowError('name-taken', 'another machine, at 10.0.0.2:8081, is the node n1', { hint: 'do this' })
  const lines = await loggedWith([taken, taken, {}])
  assert.equal(lines.length, 2, lines.join('\n'))
  assert.match(lines[0] ?? '', /^master does not hear us .*"name-taken".*at 10\.0\.0\.2:8081.*"hint":"do this"/)
  assert.match(lines[1] ?? '', /^master hears us again/)
})
