import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Register } from '../../src/api/schemas.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { register, until } from '../tools/shadow.ts'

const TCP = { SHADOW_TCP_PORTS: '1024-65535' }
const WORDS: Partial<Register> = {
  command: ['node', '/srv/words.mjs'],
  port: 5_432,
  volume: { size: '16MiB' },
  domains: [],
}
/** Sends back what it gets, and ends its side when the client does. */
const ECHO = `require('net').createServer({ allowHalfOpen: true }, s => s.pipe(s)).listen(process.env.PORT)`

let built: Awaited<ReturnType<typeof installed>>
beforeAll(async () => {
  built = await installed()
})
afterAll(() => built[Symbol.asyncDispose]())

describe('a cluster of a front and two nodes by mutual TLS:', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await Cluster.start({
      shadow: built.shadow,
      nodes: ['a', 'b'],
      fronts: ['x'],
      joined: true,
      settings: { x: TCP },
    })
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  const instance = (app: string) => cluster.admin.call('getInstance', { params: { app } })

  async function opened(app: string, port: number, more: object = {}): Promise<number> {
    const listen = await freePort()
    await cluster.admin.call('setTcp', { params: { app }, body: [{ port, listen, ...more }] })
    await until(async () => {
      const { fronts } = await cluster.admin.call('getTcp', { params: { app } })
      return fronts.some(({ ports }) => ports.some(one => one.listen === listen)) || undefined
    })
    return listen
  }

  async function client(listen: number): Promise<Socket> {
    const socket = connect({ port: listen, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }

  test('a connection wakes the app on its node, is joined with it both ways, and holds it until it ends', async () => {
    await register(cluster.admin, 'echo', { command: ['node', '-e', ECHO], domains: [] })
    const listen = await opened('echo', 8_000)
    const socket = await client(listen)
    socket.write('first')
    assert.equal(String((await once(socket, 'data'))[0]), 'first')
    const { phase, holds } = await instance('echo')
    assert.equal(phase, 'awake')
    assert.deepEqual(
      holds.map(({ kind, what }) => [kind, what.replace(/:\d+ on/, ':… on')]),
      [['connection', `connection to port 8000 from 127.0.0.1:… on port ${listen}`]],
    )
    const bytes = randomBytes(20_000_000)
    const all = buffer(socket)
    socket.end(bytes)
    assert.deepEqual(await all, bytes)
    await until(async () => (await instance('echo')).holds.length === 0 || undefined)
  })

  test('a port on which the app does not listen refuses the connection, and the instance says so', async () => {
    const listen = await opened('echo', 9_999)
    const socket = await client(listen)
    await new Promise(resolve => socket.resume().once('close', resolve))
    assert.match((await instance('echo')).badConnection?.fault ?? '', /accepts connections on port 9999/)
  })

  test('an app and the databases that it uses are on one node, whichever has the volume', async () => {
    const { admin } = cluster
    for (const home of ['a', 'b']) {
      const [db, app] = [`db-${home}`, `app-${home}`]
      await register(admin, db, WORDS)
      await register(admin, app, { uses: [db] })
      await admin.call('leaseVolume', { params: { volume: db }, body: { node: cluster.nameOf(home) } })
      const { status, headers, text: said } = await cluster.at('x').ask(app, `/tcp?host=${db}&port=5432&line=add+one`)
      assert.deepEqual([status, said, headers['x-shadow-node']], [200, 'added\n', cluster.nameOf(home)])
      assert.equal((await instance(db)).node, cluster.nameOf(home))
    }
  })

  test('a database is reached by its port too, with what the app wrote', async () => {
    const listen = await opened('db-a', 5_432)
    const socket = await client(listen)
    socket.end('all\n')
    assert.equal(await text(socket), 'one\n')
  })
})
