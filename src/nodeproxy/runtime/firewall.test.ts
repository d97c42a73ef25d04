import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { egress } from '../../model/egress.ts'
import { appName } from '../../model/names.ts'
import type { BridgeAt } from './bridge-rules.ts'
import { Firewall } from './firewall.ts'
import { parseSubnet } from './subnets.ts'

/** A bridge that every machine has. */
const at = (network: string, range: string): BridgeAt => ({
  ...{ network, bridge: 'lo', gateway: range.replace(/0\/18$/, '1') },
  subnet: parseSubnet(range),
})
const [one, two] = [at('one', '10.1.0.0/18'), at('two', '10.2.0.0/18')]
const CLOSES = { one: '-d 10.1.0.0/18 -j REJECT', two: '-d 10.2.0.0/18 -j REJECT' }

function firewall(named: string[] = []) {
  /** The rules of the table `filter` for IPv4, each time they were made. */
  const made: string[] = []
  let fails = false
  const wall = new Firewall({
    async exec(_, [, , , command, rules = '']) {
      if (command !== 'iptables' || !rules.startsWith('*filter')) return ''
      if (fails) throw new Error('no iptables')
      made.push(rules)
      return ''
    },
    log: noLog,
    mode: 'on',
    frontPorts: [],
    named: {
      async serve(gateway, apps) {
        named.push(`serve ${gateway} ${[...apps.keys()].join()}`)
        return { dns: { udp: 1, tcp: 2 }, ports: new Map([[443, 3]]) }
      },
      leave: async gateway => void named.push(`leave ${gateway}`),
      certificates: async () => '',
      refused: () => [],
      async [Symbol.asyncDispose]() {},
    },
  })
  const fail = (does: boolean): void => {
    fails = does
  }
  return { wall, made, fail }
}

test('no app of a network that is known reaches a new one, from before that has its own rules on', async () => {
  const { wall, made } = firewall()
  await wall.allow('10.1.0.5', [egress('private')])
  await wall.allow('10.2.0.5', [egress('10.7.0.1')])
  await wall.ensure(one)
  assert.ok(made[0]?.includes(CLOSES.one) && !made[0].includes(CLOSES.two))
  await wall.ensure(two)
  assert.equal(made.length, 3)
  assert.ok(made[1]?.includes('-s 10.1.0.5 ') && made[1].includes(CLOSES.two))
  assert.ok(made[2]?.includes('-s 10.2.0.5 ') && made[2].includes(CLOSES.one) && !made[2].includes('-s 10.1.0.5 '))
})

test('after a restart the first rules that are made close all networks', async () => {
  const { wall, made } = firewall()
  await wall.ensureAll([one, two])
  assert.equal(made.length, 2)
  for (const rules of made) for (const closes of Object.values(CLOSES)) assert.ok(rules.includes(closes))
})

test('a network that was removed is closed no more, and its name server ends', async () => {
  const named: string[] = []
  const { wall, made } = firewall(named)
  await wall.allow('10.1.0.5', [egress('a.example')])
  await wall.allow('10.2.0.5', [egress('b.example')])
  await wall.ensureAll([one, two])
  assert.deepEqual(named, ['serve 10.1.0.1 10.1.0.5', 'serve 10.2.0.1 10.2.0.5'])
  assert.deepEqual(
    [wall.holds('one', [egress('a.example')]), wall.holds('three', [egress('a.example')])],
    [true, false],
  )
  await wall.drop('two')
  assert.equal(named.at(-1), 'leave 10.2.0.1')
  assert.deepEqual([wall.holds('two', [egress('b.example')]), wall.bridges.length], [false, 1])
  await wall.openPorts([443])
  assert.ok(!made.at(-1)?.includes(CLOSES.two))
})

test('a new network whose like cannot be closed has no rules, so that no app is started there', async () => {
  const { wall, made, fail } = firewall()
  await wall.ensure(one)
  fail(true)
  await assert.rejects(wall.ensure(two), { code: 'egress-open' })
  await assert.rejects(wall.ensure(two, { recently: true }), { code: 'egress-open' })
  fail(false)
  await wall.ensure(two, { recently: true })
  assert.ok(made.at(-2)?.includes(CLOSES.two), 'first the known one')
})

test('links are made on the network that both are on', async () => {
  const { wall, made } = firewall()
  await wall.ensureAll([one, two])
  const [blog, db] = [appName('blog'), appName('db')]
  await wall.allow('10.1.0.5', [], { app: blog, uses: [db] })
  await wall.allow('10.2.0.6', [], { app: db, uses: [] })
  assert.deepEqual([wall.usesOf('10.1.0.5'), wall.addressesOf(db)], [[db], ['10.2.0.6']])
  assert.ok(!made.some(rules => rules.includes('10.1.0.5')))
  await wall.allow('10.1.0.6', [], { app: db, uses: [] })
  assert.ok(made.at(-1)?.includes('-s 10.1.0.5 -d 10.1.0.6 -j ACCEPT'))
})
