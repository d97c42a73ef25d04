import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { type DigitaloceanApi, type DoDisk, DoError, type DoFailure, type DoSnapshot } from './digitalocean-api.ts'

type Options = {
  readonly region: string
  /** Read anew for each call, so that a token can be replaced. */
  readonly token: () => Promise<string>
  readonly fetch?: typeof fetch
  readonly url?: string
  readonly clock: Clock
}
type Answer = { readonly status: number; readonly headers: Headers; readonly body: Body }
/** The fields that are read of the answers (docs.digitalocean.com/reference/api). */
type Body = {
  readonly id?: string
  readonly message?: string
  readonly volume?: Volume
  readonly volumes?: readonly Volume[]
  readonly snapshots?: readonly Snapshot[]
  readonly links?: { readonly pages?: { readonly next?: string } }
}
type Volume = {
  readonly id: string
  readonly name: string
  readonly size_gigabytes: number
  readonly droplet_ids: readonly number[] | null
  readonly tags: readonly string[] | null
}

type Snapshot = {
  readonly id: string
  readonly min_disk_size: number
  readonly created_at: string
  readonly regions: readonly string[]
  readonly tags: readonly string[] | null
}

const API = 'https://api.digitalocean.com'
const ANSWERS_WITHIN_MS = 20_000
const TRIES = 4
const TRY_AGAIN_AFTER_MS = 1_000
const LONGEST_WAIT_MS = 30_000
const PAGE = 200
const NEVER = new AbortController().signal

/** A client of DigitalOcean's API, for disks in one region. */
export function digitaloceanClient({ region, token, fetch: send = fetch, url = API, clock }: Options): DigitaloceanApi {
  async function once(method: string, path: string, body?: object): Promise<Answer> {
    const answer = await send(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await token()}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWERS_WITHIN_MS),
    })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) }
  }

  /**
   * A call that is throttled was not carried out, and is made again when the API says so. One that had no answer is made again only if it
   * changes nothing: of others the driver looks what has come of them.
   */
  async function call(method: string, path: string, body?: object): Promise<Body> {
    for (let left = TRIES - 1; ; left--) {
      const answer = await once(method, path, body).catch(
        error => new DoError('no-answer', `${method} ${path}: ${(error as Error).message}`, error),
      )
      const isLost = answer instanceof DoError || answer.status >= 500
      if (!isLost && answer.status !== 429) {
        if (answer.status < 400) return answer.body
        throw refused(answer, `${method} ${path}`)
      }
      const mayRepeat = !isLost || method === 'GET'
      if (left === 0 || !mayRepeat) throw answer instanceof DoError ? answer : refused(answer, `${method} ${path}`)
      await pause(
        clock,
        answer instanceof DoError || isLost ? TRY_AGAIN_AFTER_MS : waitOf(answer.headers, clock),
        NEVER,
      )
    }
  }

  async function allPages(path: string): Promise<readonly Body[]> {
    const pages: Body[] = []
    for (let page = 1; ; page++) {
      const body = await call('GET', `${path}&per_page=${PAGE}&page=${page}`)
      pages.push(body)
      if (body.links?.pages?.next === undefined) return pages
    }
  }

  const act = async (disk: string, action: object): Promise<void> =>
    void (await call('POST', `/v2/volumes/${disk}/actions`, { region, ...action }))

  return {
    async named(name) {
      const { volumes = [] } = await call('GET', `/v2/volumes?name=${encodeURIComponent(name)}&region=${region}`)
      const found = volumes.find(volume => volume.name === name)
      return found && diskOf(found)
    },
    async all() {
      const pages = await allPages(`/v2/volumes?region=${region}`)
      return pages.flatMap(({ volumes = [] }) => volumes.map(diskOf))
    },
    async create({ name, sizeGiB, tags, description, snapshot }) {
      const from = snapshot === undefined ? {} : { snapshot_id: snapshot }
      const asked = { name, region, size_gigabytes: sizeGiB, description, tags, ...from }
      const { volume } = await call('POST', '/v2/volumes', asked)
      if (volume === undefined) throw new DoError('no-answer', 'the answer to the creation has no volume')
      return diskOf(volume)
    },
    attach: (disk, droplet) => act(disk, { type: 'attach', droplet_id: droplet }),
    detach: (disk, droplet) => act(disk, { type: 'detach', droplet_id: droplet }),
    grow: (disk, toGiB) => act(disk, { type: 'resize', size_gigabytes: toGiB }),
    async tag(disk, tag) {
      await call('POST', '/v2/tags', { name: tag }) // one that is there is no failure
      const resources = [{ resource_id: disk, resource_type: 'volume' }]
      await call('POST', `/v2/tags/${encodeURIComponent(tag)}/resources`, { resources })
    },
    delete: async disk => void (await call('DELETE', `/v2/volumes/${disk}`)),
    snapshot: async (disk, named) => void (await call('POST', `/v2/volumes/${disk}/snapshots`, named)),
    async snapshots() {
      const pages = await allPages('/v2/snapshots?resource_type=volume')
      const found = pages.flatMap(({ snapshots = [] }) => snapshots)
      return found.filter(({ regions }) => regions.includes(region)).map(snapshotOf)
    },
    deleteSnapshot: async snapshot => void (await call('DELETE', `/v2/snapshots/${snapshot}`)),
    async hasDroplet(droplet) {
      try {
        await call('GET', `/v2/droplets/${droplet}`)
        return true
      } catch (error) {
        if (error instanceof DoError && error.failure === 'not-found') return false
        throw error
      }
    },
  }
}

const diskOf = ({ id, name, size_gigabytes, droplet_ids, tags }: Volume): DoDisk => ({
  id,
  name,
  sizeGiB: size_gigabytes,
  droplet: droplet_ids?.[0],
  tags: tags ?? [],
})

const snapshotOf = ({ id, min_disk_size, created_at, tags }: Snapshot): DoSnapshot => ({
  id,
  leastGiB: min_disk_size,
  takenAt: Date.parse(created_at),
  tags: tags ?? [],
})

function refused({ status, body }: Answer, what: string): DoError {
  const message = body.message ?? ''
  return new DoError(failureOf(status, message), `${what} answered ${status}: ${message}`)
}

function failureOf(status: number, message: string): DoFailure {
  if (status === 401 || status === 403) return /limit|quota/i.test(message) ? 'no-capacity' : 'denied'
  if (status === 404) return 'not-found'
  if (status === 429) return 'throttled'
  if (status >= 500) return 'no-answer'
  // The API tells these apart by its words alone.
  if (/volume.*limit|limit.*volume/i.test(message)) return /droplet/i.test(message) ? 'no-slot' : 'no-capacity'
  if (status === 409 || /already|pending|in progress|not attached|is attached/i.test(message)) return 'conflict'
  return 'refused'
}

/** When the API takes the next call: by retry-after, or else by the end of its window. */
function waitOf(headers: Headers, clock: Clock): number {
  const after = Number(headers.get('retry-after') ?? Number.NaN) * 1_000
  const reset = Number(headers.get('ratelimit-reset') ?? Number.NaN) * 1_000 - clock.wall()
  const wait = Number.isFinite(after) ? after : Number.isFinite(reset) ? reset : TRY_AGAIN_AFTER_MS
  return Math.min(Math.max(wait, TRY_AGAIN_AFTER_MS), LONGEST_WAIT_MS)
}
