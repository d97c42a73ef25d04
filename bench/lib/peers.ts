import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram } from '../../test/tools/programs.ts'
import { register } from '../peers/registered.ts'
import type { Setup } from '../peers/setup.ts'
import { type Command, freePorts, type Pinned, startPinned } from './pinned.ts'

/** A proxy to measure: the files in its folder, and how to start it. */
export type Peer = {
  readonly name: string
  /** The program that is needed to measure it. */
  readonly needs?: string
  readonly command: (setup: Setup) => Command & { readonly files?: Readonly<Record<string, string>> }
  /** Makes what must exist before the start. */
  readonly prepare?: (setup: Setup) => Promise<void>
}

/** A running proxy, pinned to its core. */
export type Running = Pinned & Pick<Setup, 'folder' | 'plain' | 'tls'>

const program =
  (name: string): Peer['command'] =>
  setup => ({
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve(`../peers/${name}.ts`)), join(setup.folder, 'setup.json')],
    files: { 'setup.json': JSON.stringify(setup) },
  })

export const nginx: Peer = { name: 'nginx', needs: 'nginx', command: setup => nginxCommand(setup) }
export const nginx32k: Peer = {
  name: 'nginx, 32 KB buffers',
  needs: 'nginx',
  command: setup => nginxCommand(setup, 'proxy_buffer_size 32k; proxy_buffers 8 32k;'),
}
export const haproxy: Peer = { name: 'haproxy', needs: 'haproxy', command: haproxyCommand }
export const caddy: Peer = { name: 'caddy', needs: 'caddy', command: caddyCommand }
export const httpProxy: Peer = { name: 'http-proxy', command: program('http-proxy') }
export const shadow: Peer = { name: 'shadow, one hop', command: program('shadow-one-hop'), prepare: register }
export const shadowTwoHops: Peer = { name: 'shadow, two hops', command: program('shadow-two-hops'), prepare: register }

/** Starts a proxy on a core; undefined if it is not installed. */
export async function start(
  peer: Peer,
  core: number,
  wanted: Omit<Setup, 'folder' | 'plain' | 'tls'> & { readonly within: string },
): Promise<Running | undefined> {
  if (peer.needs !== undefined && !hasProgram(peer.needs)) return undefined
  const [plain = 0, tls = 0] = await freePorts(2)
  const folder = join(wanted.within, `${peer.name.replaceAll(/\W+/g, '-')}-${plain}`)
  await mkdir(folder)
  const setup = { ...wanted, folder, plain, tls }
  await peer.prepare?.(setup)
  const { files = {}, ...command } = peer.command(setup)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const running = await startPinned(core, command, [plain, tls])
  return { ...running, folder, plain, tls }
}

function nginxCommand(
  { folder, backend, hostnames, plain, tls, cert, key }: Setup,
  more = '',
): ReturnType<Peer['command']> {
  const config = `
daemon off; master_process off; pid nginx.pid; error_log error.log; worker_rlimit_nofile 100000;
events { worker_connections 60000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  map_hash_max_size 65536; map_hash_bucket_size 128; variables_hash_max_size 2048;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  map $host $app { hostnames; default ''; ${hostnames.map(name => `${name} apps;`).join(' ')} }
  upstream apps { server ${backend}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${plain} backlog=4096; listen [::1]:${plain} backlog=4096; listen 127.0.0.1:${tls} ssl backlog=4096;
    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;
    location / {
      if ($app = '') { return 404; }
      proxy_pass http://$app; proxy_http_version 1.1; ${more}
      proxy_set_header Host $http_host; proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_read_timeout 600s; proxy_send_timeout 600s;
    }
  }
}`
  return { command: 'nginx', args: ['-p', folder, '-c', join(folder, 'nginx.conf')], files: { 'nginx.conf': config } }
}

function haproxyCommand({ folder, backend, plain, tls, cert, key }: Setup): ReturnType<Peer['command']> {
  const config = `
global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:${plain}
  bind 127.0.0.1:${tls} ssl crt ${cert}
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend apps
backend apps
  server app ${backend}
`
  // HAProxy expects the key beside the certificate, under this name.
  return {
    command: 'sh',
    args: ['-c', `ln -sf ${key} ${cert}.key && exec haproxy -db -f ${join(folder, 'haproxy.cfg')}`],
    files: { 'haproxy.cfg': config },
  }
}

function caddyCommand({ folder, backend, plain, tls, cert, key }: Setup): ReturnType<Peer['command']> {
  const config = `{
  admin off
  auto_https off
  skip_install_trust
  default_sni localhost
  servers {
    protocols h1
  }
}
http://:${plain} {
  bind 127.0.0.1
  reverse_proxy ${backend} {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
https://:${tls} {
  bind 127.0.0.1
  tls ${cert} ${key}
  reverse_proxy ${backend} {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`
  const file = join(folder, 'Caddyfile')
  return {
    command: 'caddy',
    args: ['run', '--adapter', 'caddyfile', '--config', file],
    env: { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    files: { Caddyfile: config },
  }
}
