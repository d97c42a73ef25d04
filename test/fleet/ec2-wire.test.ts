import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { DescribeInstanceAttributeCommand, DescribeSubnetsCommand, EC2Client } from '@aws-sdk/client-ec2'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isEc2 } from '../../src/lib/ec2/failures.ts'
import type { NewMachine } from '../../src/proxy/fleet/ec2-api.ts'
import { ec2Sdk } from '../../src/proxy/fleet/ec2-sdk.ts'
import { moto } from '../tools/ec2-server.ts'

// moto is lax: every change is instant, and what it has no answer for it ignores. These tests show that our calls and its answers are
// understood, and nothing more.
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
const region = 'eu-central-1'
const server = await moto()
afterAll(() => server?.[Symbol.asyncDispose]())
const isMissing = server === undefined
if (isMissing && process.env['CI'] !== undefined)
  throw new Error('CI tests the wire of EC2, and moto_server is not here')

describe.skipIf(isMissing)(
  `EC2's wire of servers${isMissing ? ' (skipped: make test installs moto_server from PyPI)' : ''}`,
  () => {
    let subnet = ''
    let zone = ''
    const client = () => new EC2Client({ region, endpoint: server!.endpoint })
    const open = (mayOrder = () => true) =>
      ec2Sdk({ region, endpoint: server!.endpoint, mayOrder, image: 'ami-12c6146b' })
    const machine = (number: number): NewMachine => ({
      token: `prod-${number}-abcdef`,
      type: 't3.small',
      subnet,
      isSpot: false,
      userData: '#!/bin/sh\necho "a token"\n',
      tags: { 'shadow:cluster': 'prod', 'shadow:server': `${number}`, 'shadow:node': `prod-${number}-abcdef` },
    })
    const listed = async (number: number) => {
      const api = await open()
      const found = await api.machines({ 'shadow:cluster': 'prod', 'shadow:node': `prod-${number}-abcdef` })
      assert.equal(found.length, 1)
      return found[0]!
    }
    beforeAll(async () => {
      const [first] = (await client().send(new DescribeSubnetsCommand({}))).Subnets ?? []
      subnet = first?.SubnetId ?? ''
      zone = first?.AvailabilityZone ?? ''
    })

    test('a server is made with its tags and user data, found by them, stopped, started and ended', async () => {
      const api = await open()
      await api.run(machine(1))
      const made = await listed(1)
      assert.match(made.id, /^i-[0-9a-f]{17}$/)
      assert.deepEqual([made.type, made.subnet, made.zone, made.isSpot], ['t3.small', subnet, zone, false])
      assert.deepEqual(made.tags, machine(1).tags)
      const asked = new DescribeInstanceAttributeCommand({ InstanceId: made.id, Attribute: 'userData' })
      const { UserData } = await client().send(asked)
      assert.equal(Buffer.from(UserData?.Value ?? '', 'base64').toString(), machine(1).userData)
      assert.equal((await listed(1)).state, 'running')
      await api.stop(made.id)
      assert.equal((await listed(1)).state, 'stopped')
      await api.start(made.id)
      assert.equal((await listed(1)).state, 'running')
      await api.terminate(made.id)
      assert.equal((await listed(1)).state, 'terminated')
    })

    test('subnets have zones, and one that is not there has none', async () => {
      const api = await open()
      assert.deepEqual([...(await api.zones([subnet]))], [[subnet, zone]])
      assert.deepEqual([...(await api.zones([]))], [])
    })

    test('servers of others are not listed', async () => {
      const api = await open()
      assert.deepEqual(await api.machines({ 'shadow:cluster': 'other' }), [])
    })

    test('what is not there is not found', async () => {
      const api = await open()
      for (const call of ['start', 'stop', 'terminate'] as const)
        await assert.rejects(api[call]('i-0123456789abcdef0'), error => isEc2(error, 'not-found'))
    })

    test('no order is sent by a front that leads no more, and lists still are', async () => {
      let leads = true
      const api = await open(() => leads)
      await api.run(machine(3))
      leads = false
      const { id } = await listed(3)
      for (const order of [() => api.run(machine(4)), () => api.stop(id), () => api.start(id), () => api.terminate(id)])
        await assert.rejects(order(), error => isEc2(error, 'called-off'))
      assert.equal((await listed(3)).state, 'running')
      assert.deepEqual(await api.machines({ 'shadow:node': 'prod-4-abcdef' }), [])
    })
  },
)

// moto ignores tokens, so what is sent is looked at here.
test('an order carries its token, the spot market, the template and what else was set, and a refusal is understood', async () => {
  let sent = new URLSearchParams()
  const refusing = createServer(async (request, response) => {
    sent = new URLSearchParams(await text(request))
    response.writeHead(400, { 'content-type': 'text/xml' })
    response.end(
      '<Response><Errors><Error><Code>IdempotentParameterMismatch</Code><Message>why</Message></Error></Errors></Response>',
    )
  }).listen(0, '127.0.0.1')
  await once(refusing, 'listening')
  const api = await ec2Sdk({
    region,
    endpoint: `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`,
    mayOrder: () => true,
    template: 'shadow-node:3',
    securityGroups: ['sg-1'],
    key: 'ops',
    profile: 'prod-node',
  })
  const tags = { 'shadow:cluster': 'prod', 'shadow:node': 'prod-1-abcdef' }
  const order = { token: 'prod-1-abcdef', type: undefined, subnet: 'subnet-1', isSpot: true, userData: 'x', tags }
  await assert.rejects(api.run(order), error => isEc2(error, 'token-used'))
  refusing.close()
  for (const [field, value] of [
    ['Action', 'RunInstances'],
    ['ClientToken', 'prod-1-abcdef'],
    ['MinCount', '1'],
    ['MaxCount', '1'],
    ['InstanceMarketOptions.MarketType', 'spot'],
    ['InstanceMarketOptions.SpotOptions.SpotInstanceType', 'one-time'],
    ['MetadataOptions.HttpTokens', 'required'],
    ['LaunchTemplate.LaunchTemplateName', 'shadow-node'],
    ['LaunchTemplate.Version', '3'],
    ['SubnetId', 'subnet-1'],
    ['SecurityGroupId.1', 'sg-1'],
    ['KeyName', 'ops'],
    ['IamInstanceProfile.Name', 'prod-node'],
    ['TagSpecification.1.ResourceType', 'instance'],
    ['TagSpecification.2.ResourceType', 'volume'],
    ['TagSpecification.2.Tag.1.Key', 'shadow:node'],
    ['TagSpecification.2.Tag.2.Key', null],
    ['TagSpecification.1.Tag.1.Key', 'shadow:cluster'],
    ['TagSpecification.1.Tag.1.Value', 'prod'],
  ] as const)
    assert.equal(sent.get(field), value, field)
  for (const field of ['ImageId', 'InstanceType']) assert.equal(sent.get(field), null)
})
