import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { Apart } from '../tools/apart.ts'
import { register, Shadow, until } from '../tools/shadow.ts'

// The app of the journeys on 8000 and on 3000, and a server that is seen by the container alone.
const PROGRAM = `
require('node:child_process').spawn(process.execPath, ['/srv/app.mjs'], { env: { ...process.env, PORT: '3000' }, stdio: 'inherit' })
require('node:http').createServer((_, response) => response.end()).listen(3001, '127.0.0.1')
import('/srv/app.mjs')
`
const IDLE_MS = 30_000

for (const [how, start] of [
  ['in one process', () => Shadow.start()],
  ['with the front apart', () => Apart.start()],
] as const)
  describe(how, () => {
    let shadow: Shadow | Apart
    beforeAll(async () => {
      shadow = await start()
      const definition = { command: ['node', '-e', PROGRAM], sleep: { idleAfter: '30s' } } as const
      await register(shadow.admin, 'editor', { ...definition, template: { ports: 'all' } } as object)
      const open = { ports: 'all', visitors: 'all', whenIdle: 'sleep' }
      await register(shadow.admin, 'open', { ...definition, template: open } as object)
      await register(shadow.admin, 'narrow', { ...definition, template: {} } as object)
    })
    afterAll(() => shadow[Symbol.asyncDispose]())

    /** Connects to a new session. `host` is that of a port. */
    async function connect(template: string) {
      const { url, session } = await shadow.admin.call('connectSession', { body: { template } })
      const { hostname, pathname: path } = new URL(url)
      return { session, path, host: (port?: number) => (port === undefined ? hostname : `${port}-${hostname}`) }
    }
    const phase = async (app: string) => (await shadow.admin.call('getInstance', { params: { app } })).phase
    /** The port at which the server listens that answers there. */
    const answering = async (host: string, path: string) => (await shadow.ask(host, `${path}env`)).json?.PORT

    test('each port of a session is visited by its hostname, with the same token', async () => {
      const { host, path } = await connect('editor')
      await until(async () => (await answering(host(3000), path)) === '3000' || undefined) // it starts beside the main one
      const side = await shadow.ask(host(3000), `${path}headers`)
      const seen = String((side.json as { raw: string[] }).raw).toLowerCase()
      assert.match(seen, new RegExp(`host,${host(3000)}`))
      assert.match(seen, new RegExp(`x-verified-path,${path.toLowerCase()}headers`))
      assert.doesNotMatch(seen, /x-shadow-port/)
      assert.equal(await answering(host(), path), '8000')
      assert.equal(await answering(host(8000), path), '8000')
      assert.equal((await shadow.ask(host(3000), '/')).status, 401)
      const socket = await shadow.webSocket(host(3000), `${path}live`)
      const echoed = once(socket, 'message')
      socket.send('to the side')
      assert.equal(String((await echoed)[0]), 'to the side')
      socket.terminate()
    })

    test('a port that nobody outside of the container can reach is told at once, and the session is well', async () => {
      const { host, path } = await connect('editor')
      for (const port of [3001, 9, 65_535]) {
        const { status, headers } = await shadow.ask(host(port), path)
        assert.deepEqual([status, headers['x-shadow-error']], [502, 'app-unreachable'])
      }
      assert.equal(await answering(host(), path), '8000')
    })

    test('a template opens its main port alone if it does not say so', async () => {
      const { host, path } = await connect('narrow')
      const { status, headers } = await shadow.ask(host(3000), path)
      assert.deepEqual([status, headers['x-shadow-error']], [404, 'port-not-open'])
      assert.equal(await answering(host(), path), '8000')
    })

    test('a port wakes a session that sleeps', async () => {
      const { host, session } = await connect('open')
      await shadow.admin.call('sleepApp', { params: { app: session } })
      assert.equal(await phase(session), 'asleep')
      // The server of that port may come later than the main one, for which the wake waits.
      await shadow.ask(host(3000), '/')
      assert.equal(await phase(session), 'awake')
    })

    if (how === 'in one process')
      test('a WebSocket to a port keeps its session awake', async () => {
        const { host, session } = await connect('open')
        await until(async () => (await answering(host(3000), '/')) === '3000' || undefined)
        const socket = await shadow.webSocket(host(3000), '/live')
        await shadow.pass(2 * IDLE_MS)
        assert.equal(await phase(session), 'awake')
        socket.terminate()
        await until(async () => {
          await shadow.pass(IDLE_MS / 2)
          return (await phase(session)) === 'asleep' || undefined
        })
      })
  })
