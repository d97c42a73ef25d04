import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { MasterClient } from '../../src/api/client.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { listen, reply } from '../../src/lib/http/api/request-handler.ts'
import type { InstanceView } from '../../src/model/instance.ts'
import { Summaries } from '../../src/nodeproxy/summaries.ts'
import { instanceView } from '../../src/testing/fake-node.ts'
import { anAnnouncement } from '../../src/testing/front.ts'

const ANNOUNCE_EVERY_MS = 5_000
const NODE = 'n1'

/** A node with an instance of each app, asleep, that the bench wakes and puts to sleep. */
export type BenchNode = AsyncDisposable & { set(app: string, phase: InstanceView['phase']): void }

class BenchInstance {
  readonly id: InstanceView['instance']
  readonly volume = undefined
  readonly task = { revision: 1 }
  readonly parked = { isParked: false }
  #view: InstanceView

  constructor(app: string) {
    this.#view = instanceView(app, NODE, 'asleep')
    this.id = this.#view.instance
  }

  get phase(): InstanceView['phase'] {
    return this.#view.phase
  }

  get since(): number {
    return Date.parse(this.#view.since)
  }

  set(phase: InstanceView['phase']): void {
    this.#view = { ...this.#view, phase, since: new Date().toISOString(), wokenBy: 'GET /', stoppedBy: 'idle' }
  }

  view(): InstanceView {
    return this.#view
  }
}

/** Starts the node of a master with `size` apps. */
export async function startNode(client: MasterClient, size: number): Promise<BenchNode> {
  const instances = new Map(
    Array.from({ length: size }, (_, number) => [`app-${number}`, new BenchInstance(`app-${number}`)]),
  )
  const all = [...instances.values()]
  const summaries = new Summaries({
    instances: () => all,
    askWorkers: async () => undefined,
    useOf: () => undefined,
    clock: systemClock,
  })
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://node')
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    if (pathname !== '/v1/summaries')
      return reply(response, 404, { code: 'not-found', detail: 'the bench has no such call' })
    summaries
      .since(searchParams.get('since') ?? undefined, Number(searchParams.get('waitMs')), gone.signal)
      .then(changed => reply(response, 200, changed))
      .catch(() => response.destroy()) // the master has left
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  const key = randomUUID()
  const body = anAnnouncement({ address: listening.address, key, controlKey: randomUUID() })
  const announce = () => client.call('announceNode', { params: { node: NODE }, body })
  await announce()
  const timer = setInterval(() => void announce().catch(() => undefined), ANNOUNCE_EVERY_MS) // the next one may succeed
  return {
    set: (app, phase) => instances.get(app)?.set(phase),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await listening[Symbol.asyncDispose]()
    },
  }
}
