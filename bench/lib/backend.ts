import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts, type Pinned, startPinned } from './pinned.ts'

/** A running back end and its address. */
export type Backend = Pinned & { readonly address: string }

/** nginx with 200 bytes at `/` and 1 MB at `/1MB`, both from memory: it costs little compared with any proxy. */
export async function staticBackend(core: number, within: string): Promise<Backend> {
  const [port = 0] = await freePorts(1)
  const folder = join(within, `backend-${port}`)
  await mkdir(folder)
  await writeFile(join(folder, '1MB'), Buffer.alloc(1_048_576, 'x'))
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log error.log; worker_rlimit_nofile 100000;
events { worker_connections 30000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nodelay on; open_file_cache max=10;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = / { return 200 "${'x'.repeat(200)}"; }
    location = /1MB { root ${folder}; }
  }
}`,
  )
  const nginx = { command: 'nginx', args: ['-p', folder, '-c', join(folder, 'nginx.conf')] }
  return { ...(await startPinned(core, nginx, [port])), address: `127.0.0.1:${port}` }
}

/** A back end that upgrades to WebSocket and echoes every message. */
export async function echoBackend(core: number): Promise<Backend> {
  const [port = 0] = await freePorts(1)
  const echo = {
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve('../load/echo.ts')), String(port)],
  }
  return { ...(await startPinned(core, echo, [port])), address: `127.0.0.1:${port}` }
}
