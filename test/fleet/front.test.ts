import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2'
import { afterAll, beforeAll, test } from 'vitest'
import { joinCluster } from '../../src/api/join.ts'
import { joinToken } from '../../src/api/join-token.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { Cluster } from '../tools/cluster.ts'
import { moto } from '../tools/ec2-server.ts'
import { installed } from '../tools/installed.ts'
import { until } from '../tools/shadow.ts'

// A front as it is started in production, with two threads that serve, and a master: only the machines are missing.
const AWS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }
Object.assign(process.env, AWS)
const region = 'eu-central-1'
let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
let server: Awaited<ReturnType<typeof moto>>
beforeAll(async () => {
  ;[built, server] = await Promise.all([installed(), moto()])
  cluster = await Cluster.start({ shadow: built.shadow, nodes: [], fronts: ['x'], joined: true })
  await cluster.admin.call('registerApp', { body: { name: 'blog', image: 'an-image' } })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
  await built?.[Symbol.asyncDispose]()
})

const read = (fleet: string) => cluster.admin.call('getFleet', { params: { fleet } })
/** Starts the front anew with these settings. */
async function restart(settings: Readonly<Record<string, string>>): Promise<void> {
  await cluster.front('x').end('SIGTERM')
  await cluster.front('x').start({ SHADOW_WORKERS: '2', ...settings })
}

test('a request that no node can take starts a machine of the operator, by the command', async () => {
  const nodes = ['node-8', 'node-9']
  await cluster.admin.call('allowFleet', { params: { fleet: 'fleet', front: 'x' }, body: { nodes } })
  const started = join(cluster.data, 'started')
  await restart({
    SHADOW_FLEET: 'static',
    SHADOW_STATIC_SERVERS: nodes.join(),
    SHADOW_STATIC_START: `echo $1 >>${started}`,
  })
  const { status, headers } = await cluster.at('x').ask('blog')
  assert.deepEqual([status, headers['x-shadow-error']], [503, 'no-node'])
  await until(async () => (await readFile(started, 'utf8').catch(() => '')) === 'node-8\n' || undefined)
  const { leader, servers } = await read('fleet')
  assert.equal(leader?.front, 'x')
  assert.deepEqual(
    servers.map(({ node, phase }) => [node, phase]),
    [
      ['node-8', 'starting'],
      ['node-9', 'standby'],
    ],
  )
})

test('a request that no node can take buys a server on EC2, which joins by the token of its first boot; a restart buys no second one', async context => {
  if (server === undefined && process.env['CI'] === undefined) return context.skip()
  const { endpoint } = server!
  const client = new EC2Client({ region, endpoint })
  const subnet = (await client.send(new DescribeSubnetsCommand({}))).Subnets?.[0]?.SubnetId ?? ''
  const script = join(cluster.data, 'first-boot')
  await writeFile(script, "#!/bin/sh\nTOKEN='@SHADOW_JOIN_TOKEN@'\nNODE='@SHADOW_NODE@'\n")
  await cluster.admin.call('allowFleet', { params: { fleet: 'prod', front: 'x' }, body: {} })
  await restart({
    ...AWS,
    AWS_ENDPOINT_URL_EC2: endpoint,
    SHADOW_FLEET: 'ec2',
    SHADOW_FLEET_NAME: 'prod',
    SHADOW_FLEET_MAX: '2',
    SHADOW_EC2_REGION: region,
    SHADOW_EC2_IMAGE: 'ami-12345678',
    SHADOW_EC2_TYPES: 't3.small',
    SHADOW_EC2_SUBNETS: subnet,
    SHADOW_EC2_USER_DATA: script,
  })
  assert.equal((await cluster.at('x').ask('blog')).status, 503)
  const started = () => read('prod').then(({ servers }) => (servers[0]?.phase === 'starting' ? servers[0] : undefined))
  const { node } = await until(started)
  const machines = async () => {
    const { Reservations = [] } = await client.send(new DescribeInstancesCommand({}))
    return Reservations.flatMap(({ Instances = [] }) => Instances)
  }
  const [machine, ...others] = await machines()
  assert.deepEqual(others, [])
  assert.equal(machine?.Tags?.find(({ Key }) => Key === 'shadow:node')?.Value, node)
  const asked = { InstanceId: machine?.InstanceId, Attribute: 'userData' } as const
  const { UserData } = await client.send(new DescribeInstanceAttributeCommand(asked))
  const userData = Buffer.from(UserData?.Value ?? '', 'base64').toString()
  assert.match(userData, new RegExp(`^NODE='${node}'$`, 'm'))

  await restart({})
  await cluster.at('x').ask('blog')
  const before = (await read('prod')).report?.at
  await until(async () => ((await read('prod')).report?.at !== before ? true : undefined))
  assert.equal((await machines()).length, 1)

  const token = joinToken(/TOKEN='(.*)'/.exec(userData)?.[1] ?? '')
  const folder = temporaryFolder('shadow-test-fleet-joins-')
  const { member } = await joinCluster({ token, role: 'node', folder, clock: systemClock })
  assert.deepEqual(member, { role: 'node', name: node, id: member.id })
  const { report } = await read('prod')
  assert.equal(report?.servers[0]?.machine, machine?.InstanceId)
  assert.equal(report?.servers[0]?.usdPerHour, 0.0208)
})

test('settings of a fleet that are missing are told all at once', async () => {
  const error: unknown = await restart({
    SHADOW_FLEET: 'ec2',
    SHADOW_EC2_TYPES: '',
    SHADOW_EC2_REGION: '',
    SHADOW_FLEET_MAX: '',
  }).catch((cause: unknown) => cause)
  assert.match(String(error), /SHADOW_FLEET_MAX: is not set; SHADOW_FLEET=ec2 needs it/)
  assert.match(String(error), /SHADOW_EC2_REGION: is not set/)
  assert.match(String(error), /SHADOW_EC2_TYPES: is not set/)
})
