import type { Clock } from '../lib/clock.ts'

type Disk = {
  readonly id: string
  readonly name: string
  readonly region: string
  size_gigabytes: number
  droplet_ids: number[]
  tags: string[]
  description: string
}
type Snapshot = {
  readonly id: string
  readonly name: string
  readonly created_at: string
  readonly regions: readonly string[]
  readonly resource_id: string
  readonly resource_type: 'volume'
  readonly min_disk_size: number
  readonly tags: readonly string[]
}
type Pending = 'attach' | 'detach' | 'resize'
type Call = 'create' | Pending | 'delete' | 'tag' | 'list' | 'snapshot' | 'delete-snapshot' | 'list-snapshots'
type Fault = { readonly call: Call; readonly kind: 'throttled' | 'lost' | 'lost-after' | 'broken' }

/** What happens on the droplet when a disk comes or goes. */
export type DropletHooks = {
  readonly onAttached?: (disk: string, droplet: number) => Promise<void> | void
  readonly onDetached?: (disk: string, droplet: number) => Promise<void> | void
  readonly onGrown?: (disk: string, sizeGiB: number) => Promise<void> | void
  readonly onDeleted?: (disk: string) => Promise<void> | void
  /** The bytes of this moment are those of the snapshot. */
  readonly onSnapshot?: (snapshot: string, disk: string) => void
  readonly onMadeFrom?: (disk: string, snapshot: string) => void
}
type Options = DropletHooks & { readonly clock: Clock; readonly transitionMs?: number }

const TOKEN = 'dop_v1_test'
const MOST = 7

/**
 * DigitalOcean's API in memory, by its reference: disks with names that are unique in their region, a single attachment, seven disks a droplet,
 * orders that are carried out seconds later and exclude each other, pages, limits of calls, and answers that are lost.
 */
export class Droplets {
  readonly #options: Options
  readonly #droplets = new Map<number, string>()
  readonly #disks = new Map<string, Disk>()
  readonly #snapshots = new Map<string, Snapshot>()
  readonly #pending = new Map<string, Pending>()
  readonly #tags = new Set<string>()
  readonly #faults: Fault[] = []
  #last = 0
  /** Calls that change something, such as `attach blog 1`. */
  readonly calls: string[] = []
  /** What no driver may do. */
  readonly wrongs: string[] = []
  /** Disks that the account may have. */
  quota = 100
  /** Disks whose attachment never comes about. */
  readonly neverAttach = new Set<string>()

  constructor(options: Options) {
    this.#options = options
  }

  start(droplet: number, region: string): void {
    this.#droplets.set(droplet, region)
  }

  /** Destroys a droplet: its disks come free some seconds later. */
  destroy(droplet: number): void {
    this.#droplets.delete(droplet)
    for (const disk of this.#disks.values())
      if (disk.droplet_ids.includes(droplet))
        this.#later(async () => {
          await this.#options.onDetached?.(disk.name, droplet)
          disk.droplet_ids = []
        })
  }

  failNext(call: Call, kind: Fault['kind']): void {
    this.#faults.push({ call, kind })
  }

  /** A disk that somebody else made. */
  addForeign(name: string, region: string, droplet?: number): void {
    const droplet_ids = droplet === undefined ? [] : [droplet]
    const disk = { id: this.#nextId(), name, region, size_gigabytes: 1, droplet_ids, tags: [], description: '' }
    this.#disks.set(disk.id, disk)
  }

  /** A snapshot that somebody else took. */
  addForeignSnapshot(region: string, tags: readonly string[]): void {
    this.#keep('theirs', { id: 'another', region, size_gigabytes: 1 }, tags)
  }

  get allSnapshots(): readonly Snapshot[] {
    return [...this.#snapshots.values()]
  }

  get all(): readonly Readonly<Disk>[] {
    return [...this.#disks.values()]
  }

  /** The API, as `fetch` sees it. */
  readonly fetch: typeof fetch = async (input, init = {}) => {
    const url = new URL(String(input))
    const method = init.method ?? 'GET'
    if (new Headers(init.headers).get('authorization') !== `Bearer ${TOKEN}`)
      return answer(401, { id: 'unauthorized', message: 'Unable to authenticate you' })
    const body = typeof init.body === 'string' ? (JSON.parse(init.body) as Record<string, unknown>) : {}
    const call = nameOf(method, url.pathname, body)
    const at = this.#faults.findIndex(fault => fault.call === call)
    const [fault] = at < 0 ? [] : this.#faults.splice(at, 1)
    if (fault?.kind === 'throttled')
      return answer(
        429,
        { id: 'too_many_requests', message: 'API Rate limit exceeded.' },
        {
          'ratelimit-limit': '5000',
          'ratelimit-remaining': '0',
          'ratelimit-reset': String(Math.ceil(this.#options.clock.wall() / 1_000) + 5),
        },
      )
    if (fault?.kind === 'broken') return answer(503, { id: 'service_unavailable', message: 'Service unavailable' })
    if (fault?.kind === 'lost') throw new TypeError('fetch failed')
    const given = this.#handle(method, url, body, call)
    if (fault?.kind === 'lost-after') throw new TypeError('fetch failed')
    return given
  }

  #handle(method: string, url: URL, body: Record<string, unknown>, call: Call | undefined): Response {
    const [, version, kind, id, rest] = url.pathname.split('/')
    if (version !== 'v2') return answer(404, { id: 'not_found', message: 'no such path' })
    if (kind === 'droplets') {
      const isThere = this.#droplets.has(Number(id))
      return isThere
        ? answer(200, { droplet: { id: Number(id) } })
        : answer(404, { id: 'not_found', message: 'no droplet' })
    }
    if (kind === 'tags') return this.#tag(body, id === undefined ? undefined : decodeURIComponent(id))
    if (kind === 'snapshots') return id === undefined ? this.#listSnapshots(url.searchParams) : this.#deleteSnapshot(id)
    if (kind !== 'volumes') return answer(404, { id: 'not_found', message: 'no such path' })
    if (id === undefined) return method === 'GET' ? this.#list(url.searchParams) : this.#create(body)
    const disk = this.#disks.get(id)
    if (disk === undefined)
      return answer(404, { id: 'not_found', message: 'The resource you were accessing could not be found.' })
    if (method === 'DELETE') return this.#delete(disk)
    if (rest === 'snapshots') return this.#snapshot(disk, body)
    if (rest === 'actions' && call !== undefined) return this.#act(disk, body)
    return answer(404, { id: 'not_found', message: 'no such path' })
  }

  #list(query: URLSearchParams): Response {
    const page = Number(query.get('page') ?? 1)
    const size = Math.min(Number(query.get('per_page') ?? 20), 2) // small pages, so that drivers must read all of them
    const found = this.all.filter(
      ({ region, name }) => (query.get('region') ?? region) === region && (query.get('name') ?? name) === name,
    )
    const volumes = found.slice((page - 1) * size, page * size).map(disk => structuredClone(disk))
    const pages = page * size < found.length ? { next: `https://api/v2/volumes?page=${page + 1}` } : {}
    return answer(200, { volumes, links: { pages }, meta: { total: found.length } })
  }

  #create(body: Record<string, unknown>): Response {
    const { name, region, size_gigabytes, tags = [], description = '', snapshot_id } = body
    this.calls.push(`create ${name}`)
    if (!/^[a-z][a-z0-9-]{0,63}$/.test(String(name))) return unprocessable(`Name is invalid: ${name}`)
    if (this.all.some(disk => disk.name === name && disk.region === region))
      return answer(409, { id: 'conflict', message: 'a volume with that name already exists in this region' })
    if (this.#disks.size >= this.quota)
      return answer(403, { id: 'forbidden', message: 'failed to create volume: volume limit exceeded' })
    const source = this.#snapshots.get(String(snapshot_id))
    if (snapshot_id !== undefined && source === undefined)
      return answer(404, { id: 'not_found', message: 'no snapshot' })
    if (Number(size_gigabytes) < (source?.min_disk_size ?? 0)) return unprocessable('size is smaller than the snapshot')
    for (const tag of tags as string[]) this.#tags.add(tag)
    const disk = {
      ...{ id: this.#nextId(), name: String(name), region: String(region), size_gigabytes: Number(size_gigabytes) },
      ...{ droplet_ids: [], tags: [...(tags as string[])], description: String(description) },
    }
    this.#disks.set(disk.id, disk)
    if (source !== undefined) this.#options.onMadeFrom?.(disk.name, source.id)
    return answer(201, { volume: structuredClone(disk) })
  }

  #act(disk: Disk, { type, droplet_id: droplet, size_gigabytes: size, region }: Record<string, unknown>): Response {
    const order = type as Pending
    this.calls.push(`${order} ${disk.name} ${order === 'resize' ? size : droplet}`)
    if (!disk.tags.some(tag => tag.startsWith('shadow:cluster:')))
      this.wrongs.push(`${order} of ${disk.name}, which is not ours`)
    if (this.#pending.has(disk.id)) return unprocessable('Volume already has a pending event.')
    if (region !== disk.region) return unprocessable('region mismatch')
    if (order === 'attach') {
      const [there] = disk.droplet_ids
      if (there !== undefined) return unprocessable('Volume is already attached to a droplet.')
      if (this.#droplets.get(Number(droplet)) !== disk.region)
        return unprocessable('Droplet is not in the region of the volume')
      const count = this.all.filter(({ droplet_ids }) => droplet_ids.includes(Number(droplet))).length
      if (count >= MOST) return unprocessable(`This would exceed the limit of ${MOST} volumes per droplet.`)
    }
    if (order === 'detach' && !disk.droplet_ids.includes(Number(droplet)))
      return unprocessable('Volume is not attached to the droplet.')
    if (order === 'resize' && Number(size) <= disk.size_gigabytes) return unprocessable('size must be larger')
    this.#pending.set(disk.id, order)
    this.#later(async () => {
      this.#pending.delete(disk.id)
      if (order === 'resize') {
        await this.#options.onGrown?.(disk.name, Number(size))
        disk.size_gigabytes = Number(size)
      } else if (order === 'detach') {
        await this.#options.onDetached?.(disk.name, Number(droplet))
        disk.droplet_ids = []
      } else if (!this.neverAttach.has(disk.name)) {
        disk.droplet_ids = [Number(droplet)]
        await this.#options.onAttached?.(disk.name, Number(droplet))
      }
    })
    return answer(202, { action: { id: 1, status: 'in-progress', type: `${order}_volume` } })
  }

  #tag(body: Record<string, unknown>, tag: string | undefined): Response {
    if (tag === undefined) {
      if (!/^[\w:-]{1,255}$/.test(String(body['name']))) return unprocessable('tag is invalid')
      this.#tags.add(String(body['name']))
      return answer(201, { tag: { name: body['name'] } })
    }
    if (!this.#tags.has(tag)) return answer(404, { id: 'not_found', message: 'no tag' })
    for (const { resource_id: id } of body['resources'] as { resource_id: string }[]) {
      const disk = this.#disks.get(id)
      if (disk === undefined) return answer(404, { id: 'not_found', message: 'no volume' })
      this.calls.push(`tag ${disk.name} ${tag}`)
      if (!disk.tags.includes(tag)) disk.tags.push(tag)
    }
    return answer(204)
  }

  #delete(disk: Disk): Response {
    this.calls.push(`delete ${disk.name}`)
    if (!disk.tags.some(tag => tag.startsWith('shadow:cluster:')))
      this.wrongs.push(`delete of ${disk.name}, which is not ours`)
    if (disk.droplet_ids.length > 0 || this.#pending.has(disk.id))
      return answer(409, { id: 'conflict', message: 'Volume is attached to a droplet.' })
    this.#disks.delete(disk.id)
    void this.#options.onDeleted?.(disk.name)
    return answer(204)
  }

  #snapshot(disk: Disk, { name, tags = [] }: Record<string, unknown>): Response {
    this.calls.push(`snapshot ${disk.name}`)
    const snapshot = this.#keep(String(name), disk, tags as string[])
    this.#options.onSnapshot?.(snapshot.id, disk.name)
    return answer(201, { snapshot })
  }

  #keep(name: string, disk: Pick<Disk, 'id' | 'region' | 'size_gigabytes'>, tags: readonly string[]): Snapshot {
    const snapshot: Snapshot = {
      ...{ id: this.#nextId(), name, created_at: new Date(this.#options.clock.wall()).toISOString(), tags },
      ...{ resource_id: disk.id, resource_type: 'volume', regions: [disk.region], min_disk_size: disk.size_gigabytes },
    }
    this.#snapshots.set(snapshot.id, snapshot)
    return snapshot
  }

  #listSnapshots(query: URLSearchParams): Response {
    const page = Number(query.get('page') ?? 1)
    const found = this.allSnapshots.slice(page - 1, page) // small pages, so that drivers must read all of them
    const pages = page < this.#snapshots.size ? { next: `https://api/v2/snapshots?page=${page + 1}` } : {}
    return answer(200, { snapshots: found, links: { pages }, meta: { total: this.#snapshots.size } })
  }

  #deleteSnapshot(id: string): Response {
    const snapshot = this.#snapshots.get(id)
    if (snapshot === undefined) return answer(404, { id: 'not_found', message: 'no snapshot' })
    this.calls.push(`delete-snapshot ${snapshot.name}`)
    if (!snapshot.tags.some(tag => tag.startsWith('shadow:cluster:')))
      this.wrongs.push(`delete of ${snapshot.name}, which is not ours`)
    this.#snapshots.delete(id)
    return answer(204)
  }

  #later(change: () => Promise<void> | void): void {
    this.#options.clock.after(this.#options.transitionMs ?? 3_000, () => void change())
  }

  #nextId(): string {
    this.#last += 1
    return `506f78a4-e098-11e5-ad9f-${String(this.#last).padStart(12, '0')}`
  }
}

/** The token that the API takes. */
export const dropletsToken = async (): Promise<string> => TOKEN

function nameOf(method: string, path: string, body: Record<string, unknown>): Call | undefined {
  if (path.endsWith('/actions')) return body['type'] as Pending
  if (path.endsWith('/resources')) return 'tag'
  if (path === '/v2/snapshots') return 'list-snapshots'
  if (path.startsWith('/v2/snapshots/')) return 'delete-snapshot'
  if (path.endsWith('/snapshots')) return 'snapshot'
  if (path === '/v2/volumes') return method === 'GET' ? 'list' : 'create'
  return method === 'DELETE' ? 'delete' : undefined
}

const unprocessable = (message: string): Response => answer(422, { id: 'unprocessable_entity', message })

function answer(status: number, body?: object, headers: Record<string, string> = {}): Response {
  return new Response(body === undefined ? null : JSON.stringify(body), { status, headers })
}
