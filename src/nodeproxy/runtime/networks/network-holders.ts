import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { padding, TAR_END, treeHeader } from '../../../lib/tar/header.ts'
import type { NodeName } from '../../../model/names.ts'
import { type Engine, unlessStatus } from '../docker-engine.ts'
import { statusOf } from '../failures.ts'
import { LABEL_NODE } from '../runtime.ts'
import { waitingProgram } from './waiting-program.ts'

/** Says that a container of a node is no app's, but holds a network for one; and which run of the node has made it. */
export const LABEL_HOLDER = 'shadow.holder'

const IMAGE = 'shadow-network-holder'
const PROGRAM = 'wait'
// No name of an app or of a companion has a `_`.
const UNNAMED = '_network_'
const NOBODY = '65534'

/** A container that only waits, so that its network exists: another one can join it. */
export type Holder = { readonly id: string; readonly address: string }

/** A container of the label, as Docker lists it. */
type Listed = { readonly Image: string; readonly Labels: Readonly<Record<string, string>> }

/** Whether the container holds a network. An image that somebody made of a holder has the labels too, and not this name. */
export const isHolder = ({ Image, Labels }: Listed): boolean =>
  Labels[LABEL_HOLDER] !== undefined && Image.startsWith(`${IMAGE}:`)

/** Whether this name of a holder is none that Docker's DNS is asked for. */
export const isUnnamed = (name: string): boolean => name.includes(UNNAMED)

/** This machine's Docker cannot have holders: no program that waits is known for its architecture. */
export class NoHolders extends Error {}

type Options = { readonly engine: Engine; readonly node: NodeName }

/** The holders of this node in this machine's Docker: one call of Docker for each verb, and an image that is made where it is missing. */
export class NetworkHolders {
  readonly #engine: Engine
  readonly #node: NodeName
  /** This run of the node. */
  readonly run = randomBytes(6).toString('hex')
  #image: string | undefined

  constructor({ engine, node }: Options) {
    this.#engine = engine
    this.#node = node
  }

  /** Makes and starts a holder with the address on this network of the node; fails with `NoHolders` where there can be none. */
  async make(network: string, address: string): Promise<Holder> {
    const id = await this.#create(network, address)
    try {
      await this.start({ id })
    } catch (error) {
      await this.remove({ id })
      throw error
    }
    return { id, address }
  }

  async #create(network: string, address: string): Promise<string> {
    const image = this.#image ?? (await this.#made())
    this.#image = image
    const specification = {
      name: this.#name(randomBytes(6).toString('hex')),
      Image: image,
      Labels: { [LABEL_NODE]: this.#node, [LABEL_HOLDER]: this.run },
      NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address } } } },
      HostConfig: {
        NetworkMode: network,
        PidsLimit: 64, // runc has threads when it starts it
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        RestartPolicy: { Name: 'no' },
        LogConfig: { Type: 'none', Config: {} },
      },
    }
    try {
      return (await this.#engine.ask(docker => docker.createContainer(specification))).id
    } catch (error) {
      if (statusOf(error) === 404) this.#image = undefined // somebody has removed the image: the next try makes it
      throw error
    }
  }

  /** Starts it again, if it has ended. */
  async start({ id }: Pick<Holder, 'id'>): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).start()).catch(unlessStatus(304))
  }

  async remove({ id }: Pick<Holder, 'id'>): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).remove({ force: true, v: true })).catch(unlessStatus(404))
  }

  /** Gives it a name that Docker's DNS finds in its network; left out: one that nobody asks for. */
  async rename({ id }: Pick<Holder, 'id'>, name = this.#name(id.slice(0, 12))): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).rename({ name }))
  }

  #name(last: string): string {
    return `shadow-${this.#node}${UNNAMED}${last}`
  }

  /** Resolves when it has ended or is gone; rejects where Docker does not say. */
  async ended({ id }: Pick<Holder, 'id'>, signal: AbortSignal): Promise<void> {
    const call = { method: 'POST', path: `/containers/${encodeURIComponent(id)}/wait` } as const
    try {
      for await (const _ of this.#engine.stream(call, signal)) return
    } catch (error) {
      unlessStatus(404)(error)
    }
  }

  /** Makes sure of the image, and answers with its name, which has the digest of the program in it. */
  async #made(): Promise<string> {
    const { Architecture: architecture } = (await this.#engine.ask(docker => docker.info())) as { Architecture: string }
    const program = waitingProgram(architecture)
    if (program === undefined) throw new NoHolders(`no program that waits is known for ${architecture}`)
    const tag = createHash('sha256').update(program).digest('hex').slice(0, 12)
    const name = `${IMAGE}:${tag}`
    const found = await this.#engine.ask(docker => docker.getImage(name).inspect()).catch(unlessStatus(404))
    if (found === undefined) await this.#import(tag, program)
    return name
  }

  async #import(tag: string, program: Buffer): Promise<void> {
    const { length: size } = program
    const header = treeHeader({ kind: 'file', name: PROGRAM, size, isExecutable: true, link: '' })
    const tar = Buffer.concat([header, program, padding(size), TAR_END])
    const changes = [`ENTRYPOINT ["/${PROGRAM}"]`, `USER ${NOBODY}`]
    const options = { fromSrc: '-', repo: IMAGE, tag, changes }
    const call = { method: 'POST', path: '/images/create?', options, file: Readable.from([tar]) } as const
    for await (const _ of this.#engine.stream(call, AbortSignal.timeout(60_000))) {
      // Docker answers when the image is there; the container that is made of it next tells a failure.
    }
  }
}
