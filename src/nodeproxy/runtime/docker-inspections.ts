import type Docker from 'dockerode'
import { kernelFile } from '../../lib/kernel-files.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'

/** What Docker tells of one container, as far as it is asked for. */
export type Inspected = Pick<
  Docker.ContainerInspectInfo,
  'Id' | 'Name' | 'State' | 'NetworkSettings' | 'Mounts' | 'GraphDriver' | 'HostConfig'
> & { readonly Config: Pick<Docker.ContainerInspectInfo['Config'], 'Labels'> }

type Networks = Readonly<Record<string, { readonly IPAddress?: string }>>

/**
 * What Docker tells of containers. A node looks at all of them again and again, and to inspect each of a thousand takes Docker and the node seconds of
 * processor time. So one that runs is asked about once in its run: as long as its first process lives, and its name and its addresses are
 * those of the list, the rest does not change. Where the processes of containers cannot be seen, each is asked about each time.
 */
export class Inspections {
  readonly #engine: Pick<Engine, 'ask'>
  readonly #kept = new Map<string, Inspected>()

  constructor(engine: Pick<Engine, 'ask'>) {
    this.#engine = engine
  }

  /** Undefined where it is gone since it was listed. */
  async of(listed: Docker.ContainerInfo): Promise<Inspected | undefined> {
    const { Id } = listed
    const kept = this.#kept.get(Id)
    if (kept !== undefined && isThatRun(kept, listed)) return kept
    this.#kept.delete(Id)
    const there = await this.#engine.ask(docker => docker.getContainer(Id).inspect()).catch(unlessStatus(404))
    if (there === undefined) return undefined
    const { Name, State, NetworkSettings, Mounts, GraphDriver, HostConfig, Config } = there
    const found = {
      Id,
      Name,
      State,
      NetworkSettings,
      Mounts,
      GraphDriver,
      HostConfig,
      Config: { Labels: Config.Labels },
    }
    if (isInRun(found)) this.#kept.set(Id, found)
    return found
  }

  /** Forgets those that are not in the list of all. */
  only(all: readonly Docker.ContainerInfo[]): void {
    const ids = new Set(all.map(({ Id }) => Id))
    for (const id of this.#kept.keys()) if (!ids.has(id)) this.#kept.delete(id)
  }
}

/** Whether it runs, and its first process can be seen here. No process of another container has its cgroup. */
const isInRun = ({ Id, State }: Inspected): boolean =>
  State.Running && !State.Paused && (kernelFile(`/proc/${State.Pid}/cgroup`) ?? '').includes(Id)

const isThatRun = (kept: Inspected, { State, Names, NetworkSettings }: Docker.ContainerInfo): boolean =>
  State === 'running' &&
  Names.includes(kept.Name) &&
  addressesIn(NetworkSettings?.Networks) === addressesIn(kept.NetworkSettings.Networks) &&
  isInRun(kept)

const addressesIn = (networks: Networks = {}): string =>
  Object.entries(networks)
    .map(([name, { IPAddress }]) => `${name} ${IPAddress}`)
    .toSorted()
    .join()
