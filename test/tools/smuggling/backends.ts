import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { connect, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../src/testing/free-port.ts'
import { open } from '../../../src/testing/wire.ts'
import type { Backends } from './pairs.ts'
import { strictBackend } from './strict-backend.ts'

/** A back end that answers every request with its target. It records `METHOD target` of each request, or `MALFORMED …`. */
export type Backend = AsyncDisposable & { readonly address: string; saw(): readonly string[] }

/** The back ends of the suite by name. */
export const backends: Backends<Backend> = {
  'node:http': { open: () => nodeHttp(false) },
  'node:http, lenient': { open: () => nodeHttp(true) },
  nginx: { needs: 'nginx', open: nginx },
  haproxy: { needs: 'haproxy', open: haproxy },
  caddy: { needs: 'caddy', open: caddy },
  'a strict back end': { open: () => serving(saw => strictBackend(line => saw.push(line))) },
}

function nodeHttp(insecureHTTPParser: boolean): Promise<Backend> {
  return serving(saw => {
    const answer: RequestListener = (request, response) => {
      saw.push(`${request.method} ${request.url}`)
      request.on('error', () => {}) // cut by the front
      response.end(request.url)
    }
    return createHttpServer({ insecureHTTPParser, keepAliveTimeout: 600_000 }, answer)
      .on('checkContinue', (request, response) => {
        response.writeContinue()
        answer(request, response)
      })
      .on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
        // A request that the front cuts off has no end, so no parser reports it as malformed.
        if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE')
          saw.push(`MALFORMED ${error.code}: ${JSON.stringify(error.rawPacket?.toString('latin1'))}`)
        socket.destroy()
      })
  })
}

async function serving(make: (saw: string[]) => Server): Promise<Backend> {
  const saw: string[] = []
  return Object.assign(await open(make(saw)), { saw: () => saw })
}

async function nginx(folder: string): Promise<Backend> {
  const port = await freePort()
  const log = join(folder, 'nginx.log')
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; pid nginx.pid; error_log error.log;
events {}
http {
  log_format saw escape=json '$status "$request"'; access_log ${log} saw; keepalive_requests 1000000; keepalive_timeout 600s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 127.0.0.1:${port}; merge_slashes off; return 200 $request_uri; }
}`,
  )
  return program('nginx', ['-p', folder, '-c', config], { port, lines: () => fileLines(log).map(requestLine) })
}

async function haproxy(folder: string): Promise<Backend> {
  const port = await freePort()
  const config = join(folder, 'haproxy.cfg')
  writeFileSync(
    config,
    `global
  log stdout format raw local0
defaults
  mode http
  log global
  option dontlognull
  timeout client 600s
  timeout connect 5s
  timeout server 600s
frontend front
  bind 127.0.0.1:${port}
  log-format "%ST \\"%r\\" %ts"
  http-request return status 200 content-type text/plain lf-string "%[url]"
`,
  )
  const out: string[] = []
  return program('haproxy', ['-db', '-f', config], {
    port,
    out,
    lines: () => out.filter(line => /^\d{3} "/.test(line)).map(requestLine),
  })
}

async function caddy(folder: string): Promise<Backend> {
  const port = await freePort()
  const config = join(folder, 'Caddyfile')
  const log = join(folder, 'caddy.log')
  // This back end accepts h2c too: a front that passes such an upgrade on no longer sees the requests of its client.
  writeFileSync(
    config,
    `{
  admin off
  auto_https off
  servers {
    protocols h1 h2c
  }
}
http://:${port} {
  log {
    output file ${log}
    format json
  }
  respond "{http.request.orig_uri}" 200
}
`,
  )
  const lines = (): string[] =>
    fileLines(log).map(line => {
      const { request } = JSON.parse(line)
      return `${request.method} ${request.uri}`
    })
  const env = { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  return program('caddy', ['run', '--adapter', 'caddyfile', '--config', config], { port, lines, env })
}

type Program = { port: number; lines: () => string[]; out?: string[]; env?: Record<string, string> }

async function program(name: string, args: readonly string[], { port, lines, out, env }: Program): Promise<Backend> {
  const child: ChildProcess = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('latin1').on('data', (chunk: string) => {
      said += chunk
      if (out === undefined) return
      const parts = said.split('\n')
      said = parts.pop() ?? ''
      out.push(...parts)
    })
  const orphan = (): void => void child.kill('SIGKILL')
  process.once('exit', orphan)
  while (!(await connects(port))) {
    if (child.exitCode !== null)
      throw new Error(`${name} ended with ${child.exitCode}: ${said}${out?.join('\n') ?? ''}`)
    await sleep(20)
  }
  return {
    address: `127.0.0.1:${port}`,
    saw: lines,
    async [Symbol.asyncDispose]() {
      process.off('exit', orphan)
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

// A line of the log is the status and the request line as received.
function requestLine(line: string): string {
  const [, status, request = '', more = ''] = /^(\d+) "(.*)"(.*)$/.exec(line) ?? []
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(request) ?? []
  // A 400 with a whole request line is also logged for a body that the front cut off.
  return target === undefined ? `MALFORMED ${status} ${request}${more}` : `${method} ${target}`
}

function fileLines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(0, -1)
  } catch {
    return [] // no request has come yet
  }
}

function connects(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}
