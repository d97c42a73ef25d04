import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { ec2Machine } from './ec2-machine.ts'
import { regionOf } from './open-ebs.ts'

async function metadata(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, [Symbol.asyncDispose]: async () => void server.close() }
}

const ANSWERS: Readonly<Record<string, string>> = {
  '/latest/meta-data/instance-id': 'i-0123456789abcdef0',
  '/latest/meta-data/placement/availability-zone': 'eu-central-1a',
}

test('a machine asks for a token first, and who it is by that', async () => {
  await using service = await metadata((request, response) => {
    if (request.method === 'PUT' && request.url === '/latest/api/token') return void response.end('a token')
    const knows = request.headers['x-aws-ec2-metadata-token'] === 'a token'
    response.writeHead(knows ? 200 : 401).end(ANSWERS[request.url ?? ''])
  })
  assert.deepEqual(await ec2Machine(service.url), { instance: 'i-0123456789abcdef0', zone: 'eu-central-1a' })
})

test('a machine that is not on EC2 says so, and what to do', async () => {
  await using service = await metadata((_, response) => void response.writeHead(404).end())
  await assert.rejects(
    ec2Machine(service.url),
    error => isFailure(error, 'cloud-failed') && /SHADOW_EBS_MACHINE/.test(error.details.hint ?? ''),
  )
})

for (const [zone, region] of [
  ['eu-central-1a', 'eu-central-1'],
  ['us-west-2-lax-1a', 'us-west-2'],
  ['us-gov-west-1b', 'us-gov-west-1'],
] as const)
  test(`the zone ${zone} is in the region ${region}`, () => assert.equal(regionOf(zone), region))

test('what is no zone has no region', () => assert.throws(() => regionOf('local'), /not a zone of AWS/))
