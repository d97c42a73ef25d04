import { createServer as http, type RequestListener } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { createServer as tls } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { ERROR_HEADER, WAKE_HEADER } from '../../api/paths.ts'
import { systemClock } from '../../lib/clock.ts'
import { selfSigned } from '../../testing/certificates.ts'
import { domainStates, isPrivate } from './domain-state.ts'

const listening = async (server: Server): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

async function machine(answer: RequestListener) {
  const { cert, key } = selfSigned('blog.example.org', 'www.example.org')
  const secure = tls({ cert, key }, socket => socket.on('error', () => undefined))
  return { http: await listening(http(answer)), https: await listening(secure) }
}

const looked = async (hostname: string, options: Partial<Parameters<typeof domainStates>[1]>) => {
  const signal = new AbortController().signal
  const lookUp = async () => ['127.0.0.1']
  const [state] = await domainStates([hostname], {
    clock: systemClock,
    signal,
    mayAskPrivate: true,
    lookUp,
    ...options,
  })
  return state
}

test('a hostname at a front: its addresses, that a front answers, and the certificate with its names', async () => {
  const asked: unknown[] = []
  const ports = await machine(({ method, headers }, response) => {
    asked.push([method, headers.host, headers[WAKE_HEADER]])
    response.writeHead(508, { [ERROR_HEADER]: 'loop' }).end()
  })
  const state = await looked('blog.example.org', { ports })
  expect(state).toMatchObject({ addresses: ['127.0.0.1'], fault: null, isLocal: false, front: 'front' })
  expect(state?.certificate).toMatchObject({
    names: ['blog.example.org', 'www.example.org'],
    issuer: 'blog.example.org',
    fault: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  })
  expect(Date.parse(state?.certificate?.until ?? '')).toBeGreaterThan(Date.now())
  expect(asked).toEqual([['HEAD', 'blog.example.org', 'never']])
})

test('a certificate for another name is told as one that browsers do not take', async () => {
  const ports = await machine((_, response) => response.end())
  const state = await looked('shop.example.org', { ports })
  expect(state?.front).toBe('other')
  expect(state?.certificate?.fault).not.toBeNull()
})

test('where nobody listens, nobody answers and there is no certificate', async () => {
  const server = http()
  const port = await listening(server)
  await new Promise(resolve => server.close(resolve))
  const state = await looked('blog.example.org', { ports: { http: port, https: port } })
  expect(state).toMatchObject({ front: 'nobody', certificate: null })
})

test('a hostname without an address says why, and nobody is asked', async () => {
  const lookUp = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
  expect(await looked('blog.test', { lookUp })).toEqual({
    hostname: 'blog.test',
    isLocal: true,
    addresses: [],
    fault: 'ENOTFOUND',
    front: null,
    certificate: null,
  })
})

test('a server at a private address is not asked for an owner', async () => {
  const asked: string[] = []
  const ports = await machine(({ url = '' }, response) => {
    asked.push(url)
    response.end()
  })
  const state = await looked('blog.example.org', { ports, mayAskPrivate: false })
  expect(state).toMatchObject({ addresses: ['127.0.0.1'], front: null, certificate: null })
  expect(asked).toEqual([])
})

for (const address of ['10.1.2.3', '127.0.0.1', '169.254.169.254', '::1', 'fe80::1', 'fd00::1', '::ffff:10.0.0.1'])
  test(`${address} is private`, () => expect(isPrivate(address)).toBe(true))
for (const address of ['93.184.216.34', '2606:2800::1', '172.32.0.1', '::ffff:93.184.216.34'])
  test(`${address} is public`, () => expect(isPrivate(address)).toBe(false))
