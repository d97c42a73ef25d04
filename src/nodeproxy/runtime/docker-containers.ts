import type Docker from 'dockerode'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { appOf, type InstanceId, instanceId, isInstanceId, isRunKey, type RunKey } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { socketFolderOf } from '../app-socket/socket-folders.ts'
import { endpointNames, memberIn } from './companion-names.ts'
import type { ContainerRecords } from './container-records.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { type Inspected, Inspections } from './docker-inspections.ts'
import { messageOf, statusOf } from './failures.ts'
import { hasInit } from './init.ts'
import { isHolder, LABEL_HOLDER } from './networks/network-holders.ts'
import type { Gate } from './parked/gates.ts'
import {
  fingerprintOf,
  isParkedName,
  LABEL_PARKED,
  parkedName,
  parkedSpecification,
} from './parked/parked-specification.ts'
import { type DockerStorage, hasProjectQuotas } from './project-quotas.ts'
import {
  type Container,
  type FoundContainer,
  LABEL_APP,
  LABEL_INSTANCE,
  LABEL_NODE,
  LABEL_REVISION,
  type Layer,
} from './runtime.ts'
import { withSource } from './source-mount.ts'
import { checkName, containerName, isForImage, keyIn, specificationOf } from './specification.ts'

type Options = {
  readonly engine: Engine
  readonly node: NodeName
  /** The name of the first network of the node. */
  readonly network: string
  /** Whether the node has a network of this name. */
  readonly isOurs: (network: string) => boolean
  readonly records: ContainerRecords | undefined
  /** Has the folders with the sockets of apps; undefined: apps have none. */
  readonly sockets: string | undefined
  /** The folder with the sources of apps. */
  readonly sources: string | undefined
  readonly log: Log
}

/** A container to make: of which instance, which of its containers, and with which address. */
export type ContainerAt = {
  readonly instance: InstanceId
  readonly key: RunKey
  readonly task: TaskDefinition
  readonly mountedAt: string | undefined
  /** The name of the network that it is on, and its address there. */
  readonly network: string
  readonly address: string
  /** The container whose network it joins, which has that address; left out: it gets a network of its own. */
  readonly holder?: string | undefined
  /** The name server of an app whose definition names domains. */
  readonly nameServer: string
  /** The folder with the certificates that it trusts; undefined: its requests get no secrets. */
  readonly trusts: string | undefined
  /** Whether the folder of the app's socket is mounted; left out: it is. */
  readonly hasSocket?: boolean
  /** Fields of Docker's specification beside the usual ones. */
  readonly more?: object | undefined
  /** Where it waits after its start, under another name; left out: it does not. */
  readonly gate?: Gate | undefined
}

/** The containers of this node in this machine's Docker, each `shadow-<node>-<instance>`: one call of Docker for each verb. */
export class DockerContainers {
  readonly #engine: Engine
  readonly #inspections: Inspections
  readonly #node: NodeName
  readonly #network: string
  readonly #isOurs: (network: string) => boolean
  readonly #records: ContainerRecords | undefined
  readonly #sockets: string | undefined
  readonly #sources: string | undefined
  readonly #log: Log
  #init: Promise<boolean> | undefined
  #quotas: Promise<boolean> | undefined

  constructor({ engine, node, network, isOurs, records, sockets, sources, log }: Options) {
    this.#engine = engine
    this.#inspections = new Inspections(engine)
    this.#node = node
    this.#network = network
    this.#isOurs = isOurs
    this.#records = records
    this.#sockets = sockets
    this.#sources = sources
    this.#log = log
  }

  async create(at: ContainerAt): Promise<Container> {
    const { instance, key, task, gate, more = {} } = at
    const { name, ...usual } = await this.#specification(at)
    const body = gate === undefined ? usual : parkedSpecification(usual, task.volume, gate)
    if (gate === undefined) await this.#records?.making(key)
    // Docker's API takes the name alone in the query; the library would put all of it there, environment and all.
    const _query = { name: gate === undefined ? name : parkedName(this.#node, gate) }
    const options = { _query, _body: { ...body, ...more } } as unknown as Docker.ContainerCreateOptions
    const made = await this.#engine.ask(docker => docker.createContainer(options))
    if (gate === undefined) void this.#records?.made(key, made.id)
    return { id: made.id, app: task.app, instance, revision: task.revision, key }
  }

  async #specification({
    instance,
    key,
    task,
    mountedAt,
    network,
    address,
    holder,
    nameServer,
    trusts,
    hasSocket,
  }: ContainerAt) {
    const init = await this.#hasInit()
    const limitsDisk = await this.#limitsDisk()
    // A console has none: the app is who speaks over it, and its folder is there only while the app runs.
    const socketFolder = hasSocket === false ? undefined : this.#sockets && socketFolderOf(this.#sockets, instance)
    const where = { node: this.#node, instance, key, network, address, holder, nameServer, trusts }
    return withSource(
      specificationOf(task, { ...where, init, limitsDisk, mountedAt, socketFolder }),
      task,
      this.#sources,
    )
  }

  /** What a container that waits at a gate gets when that opens, and what must be the same for it to do for this one. */
  async atGate(at: Omit<ContainerAt, 'network' | 'address' | 'nameServer' | 'trusts'>): Promise<AtGate> {
    const none = { network: this.#network, address: '', nameServer: '', trusts: undefined }
    const { name: _, ...usual } = await this.#specification({ ...at, ...none })
    return { env: usual.Env, fingerprint: fingerprintOf(usual) }
  }

  /** Keeps that a container that waits at a gate is from now on that of the instance. Whoever ends what writes to a volume finds it by that. */
  async own({ id, instance }: Container): Promise<void> {
    await this.#records?.made(instance, id)
  }

  /** Gives it the name of the instance's usual one. */
  async unpark({ id, instance }: Container): Promise<void> {
    const name = containerName(this.#node, instance)
    await this.#engine.ask(docker => docker.getContainer(id).rename({ name }))
  }

  /** Makes a container by the app's definition that is never started, without its volume; answers with its id. */
  async createForCheck(task: TaskDefinition): Promise<string> {
    const init = await this.#hasInit()
    const options = {
      node: this.#node,
      instance: instanceId(task.app),
      key: instanceId(task.app),
      network: this.#network,
      address: undefined,
      nameServer: undefined,
      init,
      mountedAt: undefined,
      limitsDisk: false,
    }
    const { name: _, ...body } = withSource(specificationOf(task, options), task, undefined)
    const given = {
      _query: { name: checkName(this.#node, instanceId(task.app)) },
      _body: body,
    } as unknown as Docker.ContainerCreateOptions
    const made = await this.#engine.ask(docker => docker.createContainer(given))
    return made.id
  }

  /** Removes a container that has run no app, be it running or not. */
  async removeUnused({ id, instance }: Pick<Container, 'id'> & Partial<Container>): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).remove({ force: true, v: true })).catch(unlessStatus(404))
    if (instance !== undefined) this.#records?.removed(instance, id)
  }

  async start({ id }: Container): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).start()).catch(unlessStatus(304))
  }

  inspect({ id }: Pick<Container, 'id'>): Promise<Docker.ContainerInspectInfo> {
    return this.#engine.ask(docker => docker.getContainer(id).inspect())
  }

  async kill({ id }: Container, signal: string): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).kill({ signal })).catch(unlessStatus(404, 409))
  }

  /** Paused already is success. */
  async pause({ id }: Pick<Container, 'id'>): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).pause()).catch(unlessSaid(/already paused/i))
  }

  /** Not paused, or gone already is success. */
  async unpause({ id }: Pick<Container, 'id'>): Promise<void> {
    await this.#engine
      .ask(docker => docker.getContainer(id).unpause())
      .catch(unlessSaid(/is not paused|not running|no such/i))
  }

  /** Waits for the container's end, and answers its exit code. */
  async ended({ id }: Container, signal: AbortSignal): Promise<number> {
    const chunks: Buffer[] = []
    for await (const chunk of this.#engine.stream(
      { method: 'POST', path: `/containers/${encodeURIComponent(id)}/wait` },
      signal,
    ))
      chunks.push(chunk)
    const answer = JSON.parse(Buffer.concat(chunks).toString()) as { StatusCode: number }
    return answer.StatusCode
  }

  async remove({ id, instance, key = instance }: Container): Promise<void> {
    await this.#engine
      .ask(docker => docker.getContainer(id).remove({ v: true }))
      .catch(error => {
        if (statusOf(error) === 409 && messageOf(error).includes('already in progress')) return
        return unlessStatus(404)(error)
      })
    this.#records?.removed(key, id)
  }

  /** Removes a container that has our name for this key, and answers with its id; fails with `already-exists` where it is not ours. */
  async removeLeftOver(instance: InstanceId, key: RunKey): Promise<string | undefined> {
    const { ask } = this.#engine
    const name = containerName(this.#node, key)
    const found = await ask(docker => docker.getContainer(encodeURIComponent(name)).inspect()).catch(unlessStatus(404))
    if (found === undefined) return undefined
    if (this.#ownOf(found)?.instance !== instance)
      throw new ShadowError('already-exists', `Docker has a container "${name}" that is not ours`, {
        hint: `rename it: docker rename ${name} OTHER`,
      })
    await ask(docker => docker.getContainer(found.Id).remove({ force: true, v: true })).catch(unlessStatus(404))
    return found.Id
  }

  /** All of ours, running or not, and the holders of networks; `besides`: those of which nothing is asked. */
  async all(besides: (id: string) => boolean): Promise<{
    readonly containers: readonly Found[]
    readonly holders: readonly FoundHolder[]
  }> {
    const { ask } = this.#engine
    const filters = { label: [`${LABEL_NODE}=${this.#node}`] }
    const all = await ask(docker => docker.listContainers({ all: true, filters }))
    const listed = all.filter(one => !isHolder(one) && !besides(one.Id))
    const holders = all.filter(isHolder).map(one => this.#holderOf(one))
    this.#inspections.only(all)
    const found = await Promise.all(
      listed.map(async one => {
        const { Id } = one
        const there = await this.#inspections.of(one)
        const own = there && this.#ownOf(there)
        if (there === undefined || own === undefined) return []
        const { instance, key } = own
        const revision = Number(there.Config.Labels[LABEL_REVISION] ?? 0)
        const { Running: running, Paused: isPaused, StartedAt: startedAt, Pid: pid } = there.State
        const joins = /^container:(.+)$/.exec(there.HostConfig.NetworkMode ?? '')?.[1]
        const ip = joins === undefined ? this.ipOf(there) : holders.find(({ id }) => id === joins)?.ip
        const about = { id: Id, app: appOf(instance), instance, key, revision, running, isPaused, ip, startedAt, pid }
        const gate = there.Config.Labels[LABEL_PARKED]
        const name = gate !== undefined && isParkedName(nameIn(there), this.#node) && { hasParkedName: true as const }
        const cpus = cpusOf(there)
        return { ...about, cpus, ...(joins !== undefined && { joins }), ...(gate !== undefined && { gate }), ...name }
      }),
    )
    return { containers: found.flat(), holders }
  }

  #holderOf({ Id, Names, State, Labels, NetworkSettings }: Docker.ContainerInfo): FoundHolder {
    const ip = State === 'running' ? this.#addressIn(NetworkSettings.Networks) : undefined
    return { id: Id, name: (Names[0] ?? '').replace(/^\//, ''), run: Labels[LABEL_HOLDER] ?? '', ip }
  }

  /** Folders with what those that run have written: their layer, and volumes that their image asks for. */
  async layers(besides: (id: string) => boolean): Promise<readonly Layer[]> {
    const { ask } = this.#engine
    const filters = { label: [`${LABEL_NODE}=${this.#node}`], status: ['running'] }
    const listed = await ask(docker => docker.listContainers({ filters }))
    const found = await Promise.all(
      listed
        .filter(one => !isHolder(one) && !besides(one.Id))
        .map(async one => {
          const there = await this.#inspections.of(one)
          const instance = there && labelled(there.Config.Labels)
          if (there === undefined || instance === undefined) return []
          // The size of its layer is limited by the filesystem; what Docker calls a volume is not.
          const isLimited = there.HostConfig.StorageOpt?.['size'] !== undefined
          const layer = isLimited ? undefined : (there.GraphDriver.Data as { UpperDir?: string } | undefined)?.UpperDir
          const volumes = there.Mounts.flatMap(({ Type, Source }) => (Type === 'volume' && Source ? [Source] : []))
          return [{ instance, pid: there.State.Pid, folders: [...(layer ? [layer] : []), ...volumes] }]
        }),
    )
    return found.flat()
  }

  /** Gives a stopped container another address on its network, since its own one is taken. */
  async readdress({ id, instance }: Container, of: string, address: string): Promise<void> {
    const network = encodeURIComponent(of)
    const { Config } = await this.inspect({ id })
    await this.#engine
      .ask(docker => docker.getNetwork(network).disconnect({ Container: id, Force: true }))
      .catch(unlessStatus(403, 404))
    const EndpointConfig = { IPAMConfig: { IPv4Address: address }, ...endpointNames(instance, memberIn(Config.Labels)) }
    await this.#engine.ask(docker => docker.getNetwork(network).connect({ Container: id, EndpointConfig }))
  }

  /** Whose container it is, and which one: its name, its labels and our own record must agree; undefined where it is not ours. */
  #ownOf({ Id, Name, Config, State }: Inspected): Own | undefined {
    const instance = labelled(Config.Labels)
    if (Config.Labels?.[LABEL_NODE] !== this.#node || instance === undefined) return undefined
    const name = nameIn({ Name })
    // No image that somebody made of it has such a name, which is given at random.
    if (isParkedName(name, this.#node) && Config.Labels[LABEL_PARKED] !== undefined) return { instance, key: instance }
    if (isForImage(name, this.#node, instance) && State.Status === 'created') return { instance, key: undefined }
    const key = keyIn(name, this.#node)
    if (key === undefined || !isRunKey(key) || (key !== instance && !key.startsWith(`${instance}_`))) return undefined
    return this.#records?.has(key, { id: Id, running: State.Running }) === false ? undefined : { instance, key }
  }

  /** Its address on our networks, or on that of an earlier version of Shadow; undefined where it does not run. */
  ipOf({ NetworkSettings }: Pick<Inspected, 'NetworkSettings'>): string | undefined {
    return this.#addressIn(NetworkSettings.Networks)
  }

  #addressIn(networks: Readonly<Record<string, { readonly IPAddress?: string }>> = {}): string | undefined {
    const ours = Object.keys(networks).find(this.#isOurs)
    return (ours === undefined ? Object.values(networks)[0] : networks[ours])?.IPAddress || undefined
  }

  /** Whether Docker can limit a container's layer: overlay2 on xfs that is mounted with project quotas. */
  #limitsDisk(): Promise<boolean> {
    this.#quotas ??= this.#engine
      .ask(docker => docker.info())
      .then(info => hasProjectQuotas(info as DockerStorage))
      .catch(error => {
        this.#quotas = undefined
        throw error
      })
    return this.#quotas
  }

  #hasInit(): Promise<boolean> {
    this.#init ??= hasInit().then(there => {
      if (!there)
        this.#log.warn('docker-init missing', {
          hint: 'apps that handle no SIGTERM take their whole grace; install tini',
        })
      return there
    })
    return this.#init
  }
}

const nameIn = ({ Name }: Pick<Docker.ContainerInspectInfo, 'Name'>): string => Name.replace(/^\//, '')

/** For `catch`: an error whose message says this is no error. */
const unlessSaid =
  (says: RegExp) =>
  (error: unknown): void => {
    if (!says.test(messageOf(error))) throw error
  }

/**
 * `cpus`: the processors that its definition gives it. `joins`: the id of the container whose network it has joined, be that one there or not.
 * `gate`: the name of the gate at which it has waited, or still waits; `hasParkedName`: it has the name of those that wait.
 */
type Found = FoundContainer & {
  readonly cpus: number
  readonly joins?: string
  readonly gate?: string
  readonly hasParkedName?: true
}

/** The processors that Docker gives it. */
export const cpusOf = ({ HostConfig }: Pick<Docker.ContainerInspectInfo, 'HostConfig'>): number =>
  (HostConfig.NanoCpus ?? 0) / 1e9

/** `env`: the variables that the container of a definition has beside those of its image. */
type AtGate = { readonly env: readonly string[]; readonly fingerprint: string }

/** The holder of a network. `run`: of which run of the node; `ip`: undefined if it does not run. */
type FoundHolder = { readonly id: string; readonly name: string; readonly run: string; readonly ip: string | undefined }

/** `key`: undefined for a container that is made to check a definition, or to read files of its image. */
type Own = { readonly instance: InstanceId; readonly key: RunKey | undefined }

/** The instance that the labels name; undefined where they name none, or contradict each other. */
function labelled(labels: Readonly<Record<string, string>> | undefined): InstanceId | undefined {
  const { [LABEL_APP]: app = '', [LABEL_INSTANCE]: instance = app } = labels ?? {}
  return isInstanceId(instance) && appOf(instance) === app ? instance : undefined
}
