import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Egress } from '../../model/egress.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import { size, toBytes, toMs } from '../../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'
import { LABEL_APP, LABEL_EGRESS, LABEL_INSTANCE, LABEL_NODE, LABEL_REVISION } from './runtime.ts'

const APPS_FIRST = 500
const NS_PER_MS = 1e6
const CHECK_EVERY_MS = 1_000

// What most images need to set themselves up and drop their rights, and nothing that reaches out of the container.
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETUID']

type Where = {
  readonly node: NodeName
  readonly instance: InstanceId
  readonly network: string
  /** Its address in that network. */
  readonly address: string | undefined
  readonly init: boolean
  /** Whether Docker can limit what it writes. */
  readonly limitsDisk: boolean
  readonly mountedAt: string | undefined
}

/** Docker's specification of a container for a task. `mountedAt`: bound at the volume's path; `init`: whether Docker has docker-init. */
export function specificationOf(
  task: TaskDefinition,
  { node, instance, network, address, init, limitsDisk, mountedAt }: Where,
) {
  const memory = toBytes(task.limits.memory)
  return {
    name: containerName(node, instance),
    Image: task.pinned?.id ?? task.image,
    ...(task.command && { Cmd: [...task.command] }),
    Env: [...Object.entries(task.env).map(([name, value]) => `${name}=${value}`), `PORT=${task.port}`],
    Labels: {
      [LABEL_NODE]: node,
      [LABEL_APP]: task.app,
      [LABEL_INSTANCE]: instance,
      [LABEL_REVISION]: `${task.revision}`,
      ...(task.egress && { [LABEL_EGRESS]: task.egress.join(' ') }),
    },
    Healthcheck: healthcheckOf(task),
    NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address } } } },
    HostConfig: {
      NetworkMode: network,
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
      Mounts:
        task.volume && mountedAt
          ? [
              {
                Type: 'bind' as const,
                Source: mountedAt,
                Target: task.volume.path,
                // Taken at the start, when the volume is mounted; private, so that no later mount of ours gets in.
                BindOptions: { Propagation: 'rprivate' as const },
              },
            ]
          : [],
    },
  }
}

/** Docker takes fields that are left out from the image. `NONE`: the check of the image is not used, so it does not run. */
function healthcheckOf({ ready, startWithin }: TaskDefinition) {
  if (ready.kind !== 'healthcheck') return { Test: ['NONE'] }
  // Until the app is ready a check that fails is none: the start has its own deadline. Docker before 25 knows no StartInterval.
  return { StartPeriod: toMs(startWithin) * NS_PER_MS, StartInterval: CHECK_EVERY_MS * NS_PER_MS }
}

export const containerName = (node: NodeName, instance: string): string => `shadow-${node}-${instance}`

// No id of an instance has a `_`. An older Shadow wrote a dot, which stands before a slot now.
const CHECK = '_check_'
const FOLDER = '_folder'

/** The name of a container for a check whether a definition is good, of which there may be several at a time. */
export const checkName = (node: NodeName, app: string): string =>
  `${containerName(node, app)}${CHECK}${randomBytes(4).toString('hex')}`
/** The name of a container that is never started: it is made to read files of its image. */
export const folderName = (node: NodeName, app: string): string => `${containerName(node, app)}${FOLDER}`

/** Whether the name is that of a container for a check or for files of an image, made by this Shadow or an older one. */
export function isForImage(name: string, node: NodeName, app: string): boolean {
  const own = containerName(node, app)
  if (!name.startsWith(own)) return false
  const rest = name.slice(own.length)
  return rest === FOLDER || rest === '.folder' || rest.startsWith(CHECK) || rest.startsWith('.look.')
}

/** What the app may reach, by the labels of its container. */
export const egressOf = (labels: Readonly<Record<string, string>> = {}): readonly Egress[] =>
  (labels[LABEL_EGRESS] ?? '').split(' ').filter(Boolean) as unknown as Egress[]
