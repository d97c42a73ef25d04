import type { Egress } from '../../model/egress.ts'
import type { Command } from '../../model/exec.ts'
import type { LogLine, RefusedName } from '../../model/instance.ts'
import type { InstanceId, RunKey } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import type { InstanceStats } from '../../model/stats.ts'
import type { PinnedImage, TaskDefinition } from '../../model/task.ts'
import type { Listener } from './listening-sockets.ts'
import type { Terminal } from './terminal.ts'

/** A container as it was found or made: the one of an instance of the app. */
export type Container = {
  readonly id: string
  readonly app: AppName
  readonly instance: InstanceId
  readonly revision: number
  /** Which of the containers of its instance it is; left out: it is made to check a definition or to read files of its image, and never started. */
  readonly key?: RunKey | undefined
  /** It was parked before its instance was woken. */
  readonly parked?: true | undefined
}

/** An image of this machine, with the TCP ports that it exposes. */
export type ImageFacts = PinnedImage & { readonly ports: readonly number[] }

/** A revision, for its image. */
export type Pinned = Pick<TaskDefinition, 'app' | 'revision' | 'pinned'>

/** What Docker last found by the check of a container's health; `said`: what the check wrote, where it failed. */
export type Health = { readonly isHealthy: boolean; readonly said?: string | undefined }

/** What is at a path in a container. */
export type FileAt = {
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  readonly name: string
  readonly size: number
  readonly uid: number
  readonly gid: number
}

export type Exit = { readonly exitCode: number; readonly outOfMemory: boolean }

/** A container that was parked cannot go on, and was removed: another one is to be made. */
export class GateStaysShut extends Error {
  /** Whether the kernel does not run the program of the app as it is, and so will not the next time. */
  readonly isRefused: boolean

  constructor(instance: InstanceId, cause: unknown, isRefused = false) {
    super(`the parked container of ${instance} was not used`, { cause })
    this.isRefused = isRefused
  }
}

/** Runs containers. Every call may be repeated: "already so" is success. Only containers with this node's label are ever touched. */
export interface Runtime {
  /** Whether the runtime answers. */
  alive(signal: AbortSignal): Promise<boolean>
  /**
   * Makes the image present: found here, or pulled; of a revision that is pinned to an image, that one. Fails with
   * `image-not-found`, `definition-refused`, `runtime-unreachable`.
   */
  ensureImage(image: string, signal: AbortSignal, of?: Pinned): Promise<ImageFacts>
  /** The image that this name has here; undefined where it is not here. Pulls nothing. */
  findImage(image: string, signal: AbortSignal): Promise<ImageFacts | undefined>
  /** The ids of all images of this machine, newest first. Fails with `runtime-unreachable`. */
  images(): Promise<readonly string[]>
  /** Looks whether the task can be run, as far as that is known without running it. Fails as `ensureImage`, `create` and `start` would. */
  check(task: TaskDefinition, signal: AbortSignal): Promise<ImageFacts>
  /**
   * Makes the instance's container, not started; `mountedAt` is bound at the volume's path and may be mounted after this call, but
   * before `start`. `key`: which of the containers of the instance it is; left out: the usual one. A container that is left over with this
   * key is removed first. Fails with `image-not-found`.
   */
  create(
    instance: InstanceId,
    task: TaskDefinition,
    mountedAt: string | undefined,
    signal: AbortSignal,
    key?: RunKey,
  ): Promise<Container>
  /**
   * Makes and starts a container for an instance that is asleep, which waits before the process of the app. It has no variable of the definition, and
   * its volume is not mounted. `create` of the instance takes it, if it is as a new one would be, and then `start` lets it go on. One that would do is
   * kept. A `create` calls it off. Fails with `not-parkable`, and as `create` and `start` do.
   */
  park(instance: InstanceId, task: TaskDefinition, mountedAt: string | undefined, signal: AbortSignal): Promise<void>
  /** Whether the instance has such a container, and that waits. */
  isParked(instance: InstanceId): boolean
  /** How many more containers the first network of the apps takes, a part of which is kept for apps that use others or are used; undefined where that is not known. */
  portsLeft(): Promise<number | undefined>
  /** Removes the container of an instance that waits, or is being made; none is success. */
  unpark(instance: InstanceId): Promise<void>
  /**
   * Puts what the app's image has at the volume's path into the folder `at` of this machine: its contents, with the owner
   * and the mode of the folder itself. Where the image has no such folder, `at` is given to the user that the image runs as.
   */
  copyFolder(task: TaskDefinition, at: string, signal: AbortSignal): Promise<void>
  /**
   * Starts it and answers with its IP address. Fails with `command-not-found`, and with `app-crashed` where it has ended already. Fails with
   * `GateStaysShut` if it was parked and cannot go on: it is removed then, and nothing of the app has run.
   */
  start(container: Container, signal: AbortSignal): Promise<string>
  /** What is at the path in a running container; undefined where nothing is. Fails with `runtime-unreachable`. */
  statFile(container: Container, path: string, signal: AbortSignal): Promise<FileAt | undefined>
  /** A file or folder of a running container as a tar, with names from its last part on. No link leads out of the container. Fails with `not-found`. */
  readFiles(container: Container, path: string, signal: AbortSignal): AsyncIterable<Buffer>
  /** Unpacks a tar into a folder of a running container. Fails with `not-found`, `bad-input`, `disk-full`. */
  writeFiles(container: Container, path: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** SIGTERM (or what the image asks for), `graceMs`, SIGKILL; a frozen one is thawed for it; resolves when no process of it runs any more. Gone or stopped already is success. */
  stop(container: Container, graceMs: number): Promise<void>
  /**
   * Stops its processes where they are: they keep their memory and connections, and use no processor. Frozen already is success. Fails with
   * `app-stuck`, `runtime-unreachable`.
   */
  freeze(container: Container): Promise<void>
  /** Moves the memory of a frozen container to the swap of this machine. Fails with `no-swap`, and with `runtime-unreachable` where its cgroup is out of reach. */
  swapOut(container: Container): Promise<void>
  /** Whether its processes are frozen; false where that is not known. */
  isFrozen(container: Container): boolean
  /** Lets the processes of a frozen container go on. Not frozen, or ended already is success. Fails with `runtime-unreachable`. */
  thaw(container: Container): Promise<void>
  /** Removes a stopped container, after its output was read to the end. Gone already is success. */
  remove(container: Container): Promise<void>
  /** Resolves when the container's process has ended; undefined where the runtime forgot it or went away itself. */
  exited(container: Container, signal: AbortSignal): Promise<Exit | undefined>
  /** Whether its first process lives, from the quickest source: Docker reports an end later. */
  runs(container: Container): Promise<boolean>
  /** Whether none of its processes runs any more, from the quickest source; false if unknown. `stop` resolves later, when Docker has seen it too. */
  areGone(container: Container): Promise<boolean>
  /** How many processes of it were ended so far for using more memory than the app may; 0 if unknown. */
  memoryKills(container: Container): Promise<number>
  /** The processor time that it has used so far, in milliseconds; undefined if unknown. */
  cpuMs(container: Container): Promise<number | undefined>
  /** Gives a running container at most so many processors, never more than its definition says; by `undefined`, as many as that. Ended already is success. */
  limitCpus(container: Container, cpus: number | undefined): Promise<void>
  /**
   * Changes what a running container may reach, from now on and over restarts of the node. Connections by names that it may no longer reach end.
   * Fails with `egress-open`.
   */
  setEgress(container: Container, list: readonly Egress[]): Promise<void>
  /** Where its processes listen for TCP connections; undefined if unknown. */
  listening(container: Container): Promise<readonly Listener[] | undefined>
  /** What the check of its health found last; undefined where its image has no HEALTHCHECK. Fails with `runtime-unreachable`. */
  health(container: Container): Promise<Health | undefined>
  /**
   * Starts a command in a running container, beside the app. Its processes end with the container. Fails with `command-not-found`, `bad-input`
   * for a user or a folder that the container does not have, and `app-unreachable` where the container has stopped.
   */
  exec(container: Container, command: Command, signal: AbortSignal): Promise<Terminal>
  /** Connects to a TCP port of a running container, on its address or on its loopback. Fails with `app-unreachable`. */
  connect(container: Container, port: number, signal: AbortSignal): Promise<Terminal>
  /**
   * Makes and starts a container whose own command is this one, joined with a terminal. It has no volume. A container that does not start is
   * removed; one that has run is removed by the caller. Fails as `create`, `start` and `exec` do.
   */
  console(
    instance: InstanceId,
    task: TaskDefinition,
    command: Command,
    signal: AbortSignal,
  ): Promise<{ readonly container: Container; readonly terminal: Terminal }>
  /** The counters of a container that accounting goes by, from the quickest source; undefined where none of its processes runs any more. */
  usage(container: Container): Promise<Pick<ContainerStats, 'cpuMs' | 'sentBytes'> | undefined>
  /** Its processor time, and the memory that it uses now, from the quickest source; undefined where none of its processes runs any more. */
  load(container: Container): Promise<Pick<ContainerStats, 'cpuMs' | 'memoryBytes'> | undefined>
  /** What a running container uses now; undefined where it does not run. */
  stats(container: Container): Promise<ContainerStats | undefined>
  /** What it wrote, as it writes it, from `since` (ISO 8601) on; ends when the container does. Aborting throws the reason. */
  output(container: Container, since: string | undefined, signal: AbortSignal): AsyncIterable<LogLine>
  /** All containers of this node, running or not, of earlier runs too. */
  leftBehind(): Promise<readonly FoundContainer[]>
  /** Where running containers of this node keep what they write, those left out whose size the filesystem limits. */
  layers(): Promise<readonly Layer[]>
  /** The networks that the addresses of apps are in, as `10.1.0.0/18`. Fails with `runtime-unreachable`. */
  networks(): Promise<readonly string[]>
  /** How many attempts of each running instance to connect to other apps and to private networks were refused; 20 or so at most are counted. */
  refusedConnections(): Promise<ReadonlyMap<InstanceId, number>>
  /** Hosts that were lately refused to running instances because of their names, by the instance. */
  refusedNames(): ReadonlyMap<InstanceId, readonly RefusedName[]>
  /** The node ends: what was prepared for containers to come is removed. */
  close(): Promise<void>
  /** Lets every app reach these TCP ports of this machine: a front listens there. */
  openPorts(ports: readonly number[]): Promise<void>
}

/** Folders of this machine with what a container wrote outside of its app's volume; `pid` is its first process. */
export type Layer = { readonly instance: InstanceId; readonly pid: number; readonly folders: readonly string[] }

/** Counters of a container since its start, and what it has now. */
export type ContainerStats = Pick<
  InstanceStats,
  'cpuMs' | 'memoryBytes' | 'memoryLimitBytes' | 'receivedBytes' | 'sentBytes' | 'readBytes' | 'writtenBytes' | 'pids'
>

export type FoundContainer = Container & {
  readonly running: boolean
  /** Whether the runtime itself has paused it. */
  readonly isPaused: boolean
  readonly ip: string | undefined
  readonly startedAt: string
  /** Its first process on Docker's machine; 0 where it does not run. */
  readonly pid: number
}

/** Labels that make a container ours. */
export const LABEL_NODE = 'shadow.node'
export const LABEL_APP = 'shadow.app'
/** An older Shadow made containers without this label: each is the plain instance of its app. */
export const LABEL_INSTANCE = 'shadow.instance'
export const LABEL_REVISION = 'shadow.revision'
/** The apps that the app uses, for the same reason. */
export const LABEL_USES = 'shadow.uses'
/** What the app may reach, so that a restarted node knows it for running containers. */
export const LABEL_EGRESS = 'shadow.egress'
