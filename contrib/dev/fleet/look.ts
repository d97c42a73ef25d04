import type { MasterClient } from '../../../src/api/client.ts'
import type { InstanceView } from '../../../src/model/instance.ts'
import { FRONT_CHECKS_NODES_EVERY, NODE_CHECK_WITHIN } from '../../../src/model/intervals.ts'
import type { Fleet } from '../../../test/tools/fleet/fleet.ts'
import { until } from '../../../test/tools/shadow.ts'

/** What the demo looks at in the cluster. */
export class Look {
  readonly #fleet: Fleet
  readonly #admin: MasterClient

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.#admin = fleet.admin()
  }

  /** The address of the front. */
  get front(): string {
    return this.#fleet.machine('x').address
  }

  url(app: string, path: string): URL {
    return new URL(`http://${app}.localhost:${this.#fleet.daemon('x').port}${path}`)
  }

  /** The letter of the node that has the app. */
  async homeOf(app: string): Promise<string> {
    const { node } = await this.#admin.call('getInstance', { params: { app } })
    return this.#fleet.letterOf(node)
  }

  async awake(app: string): Promise<readonly InstanceView[]> {
    const { items } = await this.#admin.call('listInstances', {})
    return items.filter(one => one.app === app && one.phase === 'awake')
  }

  /** Tells each change of the awake instances, until they are as they should be. */
  async told(app: string, isSo: (instances: readonly InstanceView[]) => boolean): Promise<void> {
    let last = ''
    await until(async () => {
      const instances = await this.awake(app)
      const now = instances.map(({ instance, node }) => `${instance} on ${node}`).toSorted()
      const text = `awake: ${now.join(', ') || 'none'}`
      if (text !== last) process.stdout.write(`   ${text}\n`)
      last = text
      return isSo(instances) || undefined
    })
  }

  /** Resolves when masters and front see the node as healthy. */
  async untilServes(node: string): Promise<void> {
    const name = this.#fleet.nameOf(node)
    await until(async () => {
      const { items } = await this.#admin.call('listNodes', {})
      return items.find(one => one.name === name)?.state === 'healthy' || undefined
    })
    // The front looks every two seconds.
    await new Promise(resolve => setTimeout(resolve, FRONT_CHECKS_NODES_EVERY + NODE_CHECK_WITHIN))
  }
}
