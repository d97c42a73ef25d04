import { ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import { notParkable } from '../runtime/parked/not-parkable.ts'

/** What a container that waits takes: its shim, what waits in it, and its network. `npm run bench:density` measures it. */
const PARKED_BYTES = 8 * 2 ** 20
/** So many ports of a bridge are left to wakes: it has 1,023. */
const PORTS_FOR_WAKES = 128
/** With fewer ports left than this, containers that wait are given back. */
const PORTS_AT_LEAST = 64

type Options = {
  /** The memory that all containers that wait may take together. */
  readonly bytes: number
  /** How many more containers the network of the apps takes; undefined: that is not known. */
  readonly portsLeft: () => Promise<number | undefined>
}

/** How many containers may wait on this node: all of them together, those that a person has parked too. */
export class ParkingBudget {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** How many may wait at a time, by the memory that they take. */
  get most(): number {
    return Math.floor(this.#options.bytes / PARKED_BYTES)
  }

  async hasPorts(): Promise<boolean> {
    return (await this.#portsLeft()) > PORTS_FOR_WAKES
  }

  /** How many containers must give back their ports. */
  async lackingPorts(): Promise<number> {
    return Math.max(0, PORTS_AT_LEAST - (await this.#portsLeft()))
  }

  async #portsLeft(): Promise<number> {
    return (await this.#options.portsLeft()) ?? Number.POSITIVE_INFINITY
  }

  noMemory(app: AppName): ShadowError {
    const allowed = `${sayBytes(this.#options.bytes)} for parked apps (SHADOW_PARKED_MEMORY)`
    const why = this.most === 0 ? `each takes ${sayBytes(PARKED_BYTES)}` : 'others that were parked by hand have them'
    return notParkable(app, `its node has ${allowed}, and ${why}`)
  }

  noPorts(app: AppName): ShadowError {
    const why = `${app} is not parked: the network of the apps has fewer than ${PORTS_FOR_WAKES} ports left, which are for wakes`
    return new ShadowError('addresses-full', why, { hint: 'put apps to sleep, or add a node' })
  }
}
