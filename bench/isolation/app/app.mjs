// The apps of bench/isolation.ts. NAME is in each answer; POST or GET /<misbehaviour> answers, then starts that misbehaviour.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'

const { NAME = 'nameless', PORT = '8000' } = process.env
const MEGABYTE = Buffer.alloc(2 ** 20, 'x')
const eaten = []

/** @type {Record<string, () => unknown>} */
const misbehaviours = {
  /** Allocates memory until the kernel kills the container. */
  '/eat': () => {
    const eat = () => {
      eaten.push(Buffer.alloc(16 * 2 ** 20, 1))
      setImmediate(eat)
    }
    setImmediate(eat)
  },
  '/exit': () => process.exit(7),
  /** Runs an endless loop: it answers nothing and uses all the processor time it may. */
  '/spin': () => {
    for (;;);
  },
  /** Fills its writable layer, then its volume. */
  '/fill': () => {
    for (const path of ['/tmp/filler', '/data/filler']) {
      const file = createWriteStream(path)
      file.on('error', () => undefined) // the disk is full, which is the purpose
      const more = () => {
        while (!file.destroyed && file.write(MEGABYTE));
      }
      file.on('drain', more)
      more()
    }
  },
  /** Starts processes until the limit. */
  '/fork': () => {
    const fork = () => {
      try {
        spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }).on('error', () => undefined)
      } catch {
        // the limit of processes
      }
      setTimeout(fork, 5)
    }
    fork()
  },
  /** Writes to its log as fast as possible. */
  '/log': () => {
    const line = `${'log '.repeat(60)}\u001b[2J\n`
    const more = () => {
      while (process.stdout.write(line));
      process.stdout.once('drain', more)
    }
    more()
  },
  /** Tries to connect to what an app must not reach: the gateway, neighbours, the cloud's metadata. */
  '/scan': () => {
    const gateway = process.env.GATEWAY ?? '172.17.0.1'
    const network = gateway.split('.').slice(0, 3).join('.')
    const scan = at => {
      const host = at % 8 === 0 ? '169.254.169.254' : `${network}.${at % 256}`
      const socket = connect({ host, port: at % 3 === 0 ? 8080 : 8000 })
      socket.setTimeout(500, () => socket.destroy()).on('error', () => undefined)
      socket.write(`GET / HTTP/1.1\r\nHost: x\r\n\r\n`)
      setTimeout(scan, 10, at + 1)
    }
    scan(0)
  },
}

const server = createServer((request, response) => {
  const path = (request.url ?? '/').split('?')[0]
  if (path === '/never') return // a request that hangs
  response.setHeader('x-name', NAME)
  response.end(NAME)
  const misbehave = misbehaviours[path]
  if (misbehave !== undefined) response.on('finish', () => setTimeout(misbehave, 10))
})
server.keepAliveTimeout = 60_000
server.listen(Number(PORT), '0.0.0.0')
process.on('SIGTERM', () => process.exit(0))
