import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { readMembership } from '../../api/membership.ts'
import { nameOf, socketHere } from '../../nodeproxy/config.ts'
import { usualData } from '../config.ts'
import { readEndpoints } from '../endpoints.ts'
import { certificatesCheck } from './certificates.ts'
import { askDocker, dockerCheck } from './docker.ts'
import type { Check } from './finding.ts'
import { holderOf, leftoverCheck } from './leftovers.ts'
import { machineChecks, roomCheck } from './machine.ts'
import { portsCheck, type WantedPort } from './ports.ts'
import { resticCheck } from './restic.ts'
import { storeChecks } from './store.ts'
import { tiersCheck } from './tiers.ts'

type Environment = Readonly<Record<string, string | undefined>>
export const ROLES = ['up', 'nodeproxy', 'master', 'proxy'] as const
export type DoctorRole = (typeof ROLES)[number]

type Options = {
  readonly data?: string | undefined
  readonly role?: DoctorRole | undefined
  readonly now: () => number
}

/** The checks of this machine, for the daemons that run or would run on it. Fails with `bad-input` for settings that are wrong. */
export async function thisMachine(
  env: Environment,
  { data: given, role: asked, now }: Options,
): Promise<readonly Check[]> {
  const { readUpConfig } = await import('../up-config.ts')
  const data = resolve(given ?? (env['SHADOW_DATA'] || usualData(env)))
  const role = asked ?? (await roleOf(data))
  const { master, nodeproxy, proxy } = readUpConfig(env, { data })
  const membership = await readMembership(join(data, 'node'), 'node').catch(() => undefined)
  const node = nameOf(nodeproxy, membership)
  const has = (one: DoctorRole): boolean => role === 'up' || role === one
  const socket = nodeproxy.dockerSocket ?? socketHere(env['DOCKER_HOST'])
  const docker = askDocker(socket)
  docker.catch(() => undefined) // each check that needs it tells of the failure
  const runs = async (lock: string): Promise<boolean> => (await holderOf(join(data, lock))) !== undefined
  const [upRuns, nodeRuns, frontRuns] = [await runs('lock'), await runs('node/lock'), await runs('proxy/lock')]
  const masterRuns = upRuns || (await isMasterOf(data))
  const host = membership === undefined ? '127.0.0.1' : '0.0.0.0'
  const ports: WantedPort[] = [
    ...(has('proxy') ? [{ setting: 'SHADOW_LISTEN', of: 'front', at: proxy.listen, isOurs: upRuns || frontRuns }] : []),
    ...(has('proxy') && proxy.tlsListen
      ? [{ setting: 'SHADOW_TLS_LISTEN', of: 'front', at: proxy.tlsListen, isOurs: upRuns || frontRuns }]
      : []),
    ...(has('nodeproxy')
      ? [{ setting: 'SHADOW_NODE_LISTEN', of: 'node', at: nodeproxy.listen ?? { host, port: 8081 }, isOurs: nodeRuns }]
      : []),
    ...(has('master')
      ? [
          {
            setting: 'SHADOW_MASTER_LISTEN',
            of: 'master',
            at: master.listen ?? { host, port: 8080 },
            isOurs: masterRuns,
          },
        ]
      : []),
    ...(has('master') && master.ssh
      ? [{ setting: 'SHADOW_SSH', of: 'SSH server', at: master.ssh, isOurs: masterRuns }]
      : []),
  ]
  return [
    ...(has('nodeproxy')
      ? [
          ...machineChecks(),
          tiersCheck(),
          dockerCheck(socket, docker),
          resticCheck(nodeproxy.restic),
          leftoverCheck({ data, node, docker }),
        ]
      : []),
    roomCheck(data, nodeproxy.diskFloor),
    portsCheck(ports),
    ...(has('master') ? storeChecks(master.storage ?? { kind: 'directory', path: join(data, 'store') }, now) : []),
    certificatesCheck({ data, folder: proxy.tlsCertificates, now: now() }),
  ]
}

/** What the data folder is of: a machine that has joined a cluster has one daemon, any other may have all of them. */
async function roleOf(data: string): Promise<DoctorRole> {
  const has = (path: string): Promise<boolean> =>
    access(join(data, path)).then(
      () => true,
      () => false,
    )
  if (await has('lock')) return 'up'
  const [node, front] = [await has('node/member.json'), await has('proxy/member.json')]
  if (node !== front) return node ? 'nodeproxy' : 'proxy'
  return 'up'
}

/** Whether the process that wrote the endpoints of the master into the data folder is there: a master has no lock, since several may run. */
async function isMasterOf(data: string): Promise<boolean> {
  const { pid } = (await readEndpoints(data)) ?? {}
  if (pid === undefined) return false
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return /\0(up|master)\0/.test(words) || pid === process.pid
}
