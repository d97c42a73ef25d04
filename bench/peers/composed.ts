// The settings and drivers with which the product runs as a peer in a bench.
import { join } from 'node:path'
import { readUpConfig, type UpConfig } from '../../src/cli/up-config.ts'
import { FakeLogs } from '../../src/testing/fake-logs.ts'
import { FakeRuntime } from '../../src/testing/fake-runtime.ts'
import { FakeVolumes } from '../../src/testing/fake-volumes.ts'
import type { Setup } from './setup.ts'

const SETTINGS = {
  SHADOW_MASTER_LISTEN: '127.0.0.1:0',
  SHADOW_NODE_LISTEN: '127.0.0.1:0',
  SHADOW_METRICS_LISTEN: '127.0.0.1:0',
  SHADOW_LOG_LEVEL: 'warn',
  // One worker of each peer.
  SHADOW_WORKERS: '1',
  // All clients of a bench have one address and stay connected; nginx is configured for that too.
  SHADOW_CONNECTIONS: '100000',
  SHADOW_CONNECTIONS_PER_ADDRESS: '100000',
  SHADOW_REQUESTS_PER_CONNECTION: '1000000000',
  SHADOW_KEEP_ALIVE: '10m',
}

/** Default settings, except for paths and for limits that a bench would exceed. */
export function configOf({ folder, plain, tls }: Pick<Setup, 'folder' | 'plain' | 'tls'>): UpConfig {
  const places = {
    SHADOW_LISTEN: `127.0.0.1:${plain}`,
    SHADOW_TLS_LISTEN: `127.0.0.1:${tls}`,
    SHADOW_TLS_CERTIFICATES: certificatesIn(folder),
  }
  return readUpConfig({ ...SETTINGS, ...places }, { data: join(folder, 'data') })
}

/** The folder for a peer's certificates. */
export const certificatesIn = (folder: string): string => join(folder, 'certificates')

/** Drivers for which each container runs at once: its address is the back end's, at the app's port on this machine. */
export function benchDrivers() {
  const runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  const volumes = new FakeVolumes()
  return { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
}
