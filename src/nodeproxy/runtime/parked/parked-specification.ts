import { createHash } from 'node:crypto'
import type { NodeName } from '../../../model/names.ts'
import type { TaskVolume } from '../../../model/task.ts'
import type { specificationOf } from '../specification.ts'
import { GATE_FOLDER, GATE_PATH } from './gate-program.ts'
import type { Gate } from './gates.ts'

/** Says that a container was made to wait at a gate, and which gate that is. */
export const LABEL_PARKED = 'shadow.parked'

// No name of an app and no key of a container has this form, so that an older Shadow takes no container that waits for that of an app.
const PARKED = '_parked_'

export const parkedName = (node: NodeName, { name }: Gate): string => `shadow-${node}${PARKED}${name}`
export const isParkedName = (name: string, node: NodeName): boolean => name.startsWith(`shadow-${node}${PARKED}`)

type Usual = Omit<ReturnType<typeof specificationOf>, 'name'>

/**
 * The specification of a container that waits at a gate before it becomes that of `usual`. Nothing of the environment of the definition is in it:
 * variables and secrets come with the message that opens the gate. The volume is mounted below the process later, so its mount is passed on.
 */
export function parkedSpecification(usual: Usual, volume: TaskVolume | undefined, { name, folder }: Gate) {
  const { HostConfig, Labels, Cmd: _, ...others } = usual
  const mounts = HostConfig.Mounts.map(mount =>
    mount.Target === volume?.path ? { ...mount, BindOptions: { Propagation: 'rslave' as const } } : mount,
  )
  const gate = {
    Type: 'bind' as const,
    Source: folder,
    Target: GATE_FOLDER,
    ReadOnly: true,
    BindOptions: { Propagation: 'rprivate' as const },
  }
  return {
    ...others,
    Entrypoint: [GATE_PATH],
    Cmd: [],
    Env: [],
    Labels: { ...Labels, [LABEL_PARKED]: name },
    HostConfig: { ...HostConfig, Mounts: [...mounts, gate] },
  }
}

/** What two specifications must have in common for a container of the one to do for the other: all but environment, address and network. */
export function fingerprintOf(usual: Usual): string {
  const { Env: _, HostConfig, ...others } = usual as Usual & { NetworkingConfig?: unknown }
  const kept = { ...others, NetworkingConfig: undefined, HostConfig: { ...HostConfig, NetworkMode: undefined } }
  return createHash('sha256').update(JSON.stringify(kept)).digest('hex')
}
