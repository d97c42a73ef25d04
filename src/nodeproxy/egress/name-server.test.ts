import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { destinationsOf, egress } from '../../model/egress.ts'
import type { Hostname } from '../../model/hostname.ts'
import { HandClock } from '../../testing/clock.ts'
import { NameServer } from './name-server.ts'
import { ServedApps } from './served-apps.ts'

const APP = '127.0.0.1'
let server: NameServer
let apps: ServedApps
let ports: { udp: number; tcp: number }
let found: (name: Hostname) => Promise<{ addresses: readonly string[]; ttlSeconds: number }>

beforeEach(async () => {
  const clock = new HandClock()
  apps = new ServedApps(clock)
  apps.replace(new Map([[APP, { ...destinationsOf([egress('api.example.com'), egress('*.example.org')]), wire: [] }]]))
  found = async () => ({ addresses: ['203.0.113.7'], ttlSeconds: 30 })
  server = new NameServer({ apps, lookup: { find: name => found(name) }, clock, log: noLog })
  ports = await server.listen(APP)
})
afterEach(() => server[Symbol.asyncDispose]())

function resolver(): Resolver {
  const resolver = new Resolver({ timeout: 2_000, tries: 1 })
  resolver.setServers([`${APP}:${ports.udp}`])
  return resolver
}

test('an app is told the addresses of the names that it may reach', async () => {
  expect(await resolver().resolve4('API.example.com', { ttl: true })).toEqual([{ address: '203.0.113.7', ttl: 30 }])
  expect(await resolver().resolve4('a.b.example.org')).toEqual(['203.0.113.7'])
  await expect(resolver().resolve6('api.example.com')).rejects.toMatchObject({ code: 'ENODATA' })
  expect(apps.at(APP)?.refused.all).toEqual([])
})

test('other names are not there, nobody is asked for them, and they are noted', async () => {
  found = () => Promise.reject(new Error('asked'))
  for (const name of ['evil.example', 'example.org', 'evil.example'])
    await expect(resolver().resolve4(name)).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await expect(resolver().resolveTxt('c2VjcmV0.evil.example')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await expect(resolver().reverse('203.0.113.7')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  expect(apps.at(APP)?.refused.all.map(({ to, count }) => [to, count])).toEqual([
    ['example.org', 1],
    ['evil.example', 2],
    ['c2vjcmv0.evil.example', 1],
  ])
})

test('a name without an address is not there; a failure to find out is one', async () => {
  found = async () => ({ addresses: [], ttlSeconds: 5 })
  await expect(resolver().resolve4('api.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  found = () => Promise.reject(new Error('no name server'))
  await expect(resolver().resolve4('api.example.com')).rejects.toMatchObject({ code: 'ESERVFAIL' })
})

test('what is no question ends nothing, and who is no app gets no answer', async () => {
  const client = createSocket('udp4')
  client.bind(0, APP)
  await once(client, 'listening')
  const answers: Buffer[] = []
  client.on('message', message => answers.push(message))
  for (const junk of [Buffer.alloc(0), Buffer.alloc(11), Buffer.alloc(600, 0xff), Buffer.from('GET / HTTP/1.1')])
    client.send(junk, ports.udp, APP)
  apps.replace(new Map())
  await expect(resolver().resolve4('api.example.com')).rejects.toMatchObject({ code: 'ETIMEOUT' })
  client.close()
})

test('over TCP, several questions of one connection are answered, and a message that is too long ends it', async () => {
  const asked = Buffer.from('beef0100000100000000000003617069076578616d706c6503636f6d0000010001', 'hex')
  const message = Buffer.concat([Buffer.from([0, asked.length]), asked])
  const socket = connect(ports.tcp, APP)
  let got = Buffer.alloc(0)
  socket.on('data', chunk => {
    got = Buffer.concat([got, chunk])
  })
  socket.write(Buffer.concat([message, message]).subarray(0, 40))
  socket.write(Buffer.concat([message, message]).subarray(40))
  while (got.length < 2 * (message.length + 16)) await once(socket, 'data')
  expect(got.subarray(2, 6).toString('hex')).toBe('beef8180')
  socket.write(Buffer.alloc(2_000, 0xff))
  await once(socket, 'close')
})

test('a connection whose answers are not read is ended, so that they fill no memory', async () => {
  const asked = Buffer.from('beef0100000100000000000003617069076578616d706c6503636f6d0000010001', 'hex')
  const many = Buffer.concat(Array(1_000).fill(Buffer.concat([Buffer.from([0, asked.length]), asked])))
  const socket = connect(ports.tcp, APP)
  socket.pause()
  socket.on('error', () => undefined) // it was reset
  const ended = new Promise(resolve => socket.once('close', resolve))
  // Far more than the kernel keeps of the answers.
  for (let sent = 0; sent < 64 * 2 ** 20 && !socket.destroyed; sent += many.length)
    if (!socket.write(many)) await Promise.race([once(socket, 'drain').catch(() => undefined), ended])
  await ended
})
