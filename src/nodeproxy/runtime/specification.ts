import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { type Egress, namesDomains } from '../../model/egress.ts'
import type { InstanceId, RunKey } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import { size, toBytes, toMs } from '../../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'
import { SOCKET_FOLDER, SOCKET_PATH } from '../app-socket/socket-folders.ts'
import { endpointNames } from './companion-names.ts'
import { LABEL_APP, LABEL_EGRESS, LABEL_INSTANCE, LABEL_NODE, LABEL_REVISION, LABEL_USES } from './runtime.ts'
import { TRUST_FOLDER, wireVariables } from './wire-mount.ts'

const APPS_FIRST = 500
const NS_PER_MS = 1e6
const CHECK_EVERY_MS = 1_000

// What most images need to set themselves up and drop their rights, and nothing that reaches out of the container.
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETUID']

type Where = {
  readonly node: NodeName
  readonly instance: InstanceId
  /** Which of the containers of the instance it is. */
  readonly key: RunKey
  readonly network: string
  /** Its address in that network. */
  readonly address: string | undefined
  /** The container whose network it joins; undefined: it gets one of its own. */
  readonly holder?: string | undefined
  /** The name server that it gets if its definition names domains. */
  readonly nameServer?: string | undefined
  /** The folder with the certificates that it trusts; undefined: its requests get no secrets. */
  readonly trusts?: string | undefined
  readonly init: boolean
  /** Whether Docker can limit what it writes. */
  readonly limitsDisk: boolean
  readonly mountedAt: string | undefined
  /** The folder with the socket over which the app speaks to this node; undefined: it has none. */
  readonly socketFolder?: string | undefined
}

/** Docker's specification of a container for a task. `mountedAt`: bound at the volume's path; `init`: whether Docker has docker-init. */
export function specificationOf(
  task: TaskDefinition,
  {
    node,
    instance,
    key,
    network,
    address,
    holder,
    nameServer,
    trusts,
    init,
    limitsDisk,
    mountedAt,
    socketFolder,
  }: Where,
) {
  const memory = toBytes(task.limits.memory)
  return {
    name: containerName(node, key),
    Image: task.pinned?.id ?? task.image,
    ...(task.command && { Cmd: [...task.command] }),
    Env: [
      ...Object.entries(task.env).map(([name, value]) => `${name}=${value}`),
      ...(trusts === undefined ? [] : wireVariables(task)),
      `PORT=${task.port}`,
      ...(socketFolder === undefined ? [] : [`SHADOW_SOCKET=${SOCKET_PATH}`]),
    ],
    Labels: {
      [LABEL_NODE]: node,
      [LABEL_APP]: task.app,
      [LABEL_INSTANCE]: instance,
      [LABEL_REVISION]: `${task.revision}`,
      ...(task.egress && { [LABEL_EGRESS]: task.egress.join(' ') }),
      ...(task.uses && { [LABEL_USES]: task.uses.join(' ') }),
    },
    Healthcheck: healthcheckOf(task),
    ...(holder === undefined && {
      NetworkingConfig: {
        EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address }, ...endpointNames(instance, task) } },
      },
    }),
    HostConfig: {
      NetworkMode: holder === undefined ? network : `container:${holder}`,
      // Docker asks a name server that is set from the container itself, so that the packet filter sees the question. `.`: no name is tried with
      // the domain of the machine at its end.
      ...(nameServer !== undefined && namesDomains(task.egress) && { Dns: [nameServer], DnsSearch: ['.'] }),
      // An app that handles no SIGTERM would ignore it as PID 1, by the kernel's rule, and eat its whole grace.
      Init: init,
      Memory: memory,
      MemorySwap: memory, // of both together: none
      ShmSize: toBytes(task.limits.shm ?? size(TASK_DEFAULTS.shm)),
      NanoCpus: Math.round(Math.min(task.limits.cpus, availableParallelism()) * 1e9), // Docker refuses more than there are
      ...(limitsDisk && { StorageOpt: { size: `${toBytes(task.limits.disk ?? size(TASK_DEFAULTS.disk))}` } }),
      PidsLimit: task.limits.pids,
      // Where the machine runs out of memory, the kernel takes an app before it takes a daemon.
      OomScoreAdj: APPS_FIRST,
      CapDrop: ['ALL'],
      CapAdd: CAPABILITIES,
      SecurityOpt: ['no-new-privileges:true'],
      RestartPolicy: { Name: 'no' },
      // The node keeps the app's log; this one is what it catches up from after its own restart.
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
      Mounts: [
        // Taken at the start, when the volume is mounted.
        ...(task.volume && mountedAt ? [bind(mountedAt, task.volume.path, false)] : []),
        ...(socketFolder === undefined ? [] : [bind(socketFolder, SOCKET_FOLDER, true)]),
        ...(trusts === undefined ? [] : [bind(trusts, TRUST_FOLDER, true)]),
      ],
    },
  }
}

// Private, so that no later mount of ours gets in.
const bind = (source: string, target: string, readOnly: boolean) => ({
  Type: 'bind' as const,
  Source: source,
  Target: target,
  ReadOnly: readOnly,
  BindOptions: { Propagation: 'rprivate' as const },
})

/** Docker takes fields that are left out from the image. `NONE`: the check of the image is not used, so it does not run. */
function healthcheckOf({ ready, startWithin }: TaskDefinition) {
  if (ready.kind !== 'healthcheck') return { Test: ['NONE'] }
  // Until the app is ready a check that fails is none: the start has its own deadline. Docker before 25 knows no StartInterval.
  return { StartPeriod: toMs(startWithin) * NS_PER_MS, StartInterval: CHECK_EVERY_MS * NS_PER_MS }
}

export const containerName = (node: NodeName, key: RunKey): string => `shadow-${node}-${key}`

/** The key in the name of a container of this node; undefined if the name is another one. */
export const keyIn = (name: string, node: NodeName): string | undefined =>
  name.startsWith(`shadow-${node}-`) ? name.slice(`shadow-${node}-`.length) : undefined

// No id of an instance has a `_`, and no key of a container ends like this. An older Shadow wrote a dot, which stands before a slot now.
const CHECK = '_check_'
const FOLDER = '_folder'

/** The name of a container for a check whether a definition is good, of which there may be several at a time. */
export const checkName = (node: NodeName, app: InstanceId): string =>
  `${containerName(node, app)}${CHECK}${randomBytes(4).toString('hex')}`
/** The name of a container that is never started: it is made to read files of its image. */
export const folderName = (node: NodeName, app: InstanceId): string => `${containerName(node, app)}${FOLDER}`

/** Whether the name is that of a container for a check or for files of an image, made by this Shadow or an older one. */
export function isForImage(name: string, node: NodeName, app: InstanceId): boolean {
  const own = containerName(node, app)
  if (!name.startsWith(own)) return false
  const rest = name.slice(own.length)
  return rest === FOLDER || rest === '.folder' || rest.startsWith(CHECK) || rest.startsWith('.look.')
}

/** What the app may reach, by the labels of its container. */
export const egressOf = (labels: Readonly<Record<string, string>> = {}): readonly Egress[] =>
  (labels[LABEL_EGRESS] ?? '').split(' ').filter(Boolean) as unknown as Egress[]
