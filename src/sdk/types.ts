/** What a session is asked for by. The same key with another tag is a conflict. */
export type SessionKey = { name: string; namespace?: string | undefined; tag?: string | undefined }

/** Sizes have their unit: `512MiB`. `cpus`: how many processors. */
export type SessionLimits = {
  memory?: string | undefined
  cpus?: number | undefined
  pids?: number | undefined
  reserve?: string | undefined
  disk?: string | undefined
  shm?: string | undefined
}

/** When a session is ready: as its port is open, as it answers by HTTP, as it writes a line, as its image says, or as soon as its process runs. */
export type Readiness =
  | { kind: 'port' | 'healthcheck' | 'started' }
  | { kind: 'http'; path: string }
  /** `line`: a regular expression of RE2. */
  | { kind: 'log'; line: string }

/** What `connect` is asked for. Lengths of time have their unit: `30s`, `8h`. */
export type ConnectRequest = {
  /** Left out: `spawn.image` says what the session is made from. */
  template?: string | undefined
  /** Left out: a new session each time. */
  key?: SessionKey | undefined
  /** Of a new session; null: only a session that lives. */
  spawn?:
    | {
        /** Variables beside those of the template. */
        env?: Record<string, string> | undefined
        lifetime?: string | undefined
        /** How long nobody may use it before it ends or sleeps. */
        idle?: string | undefined
        /** In place of those of the template, and not above them; with an image, its own. */
        limits?: SessionLimits | undefined
        /** Labels that its node must have, in place of those of the template. */
        pool?: Record<string, string> | undefined
        /** Makes a new session from this image, in place of a template. The fields below go with it. */
        image?: string | undefined
        /** What runs in place of the command of the image. */
        command?: string[] | undefined
        /** The port that it listens on. */
        port?: number | undefined
        ready?: Readiness | undefined
        /** Block storage, which belongs to the key. */
        volume?:
          | { size: string; path?: string | undefined; driver?: 'loop' | 'pool' | 'ebs' | 'digitalocean' | undefined }
          | undefined
        /** What it may reach: `none`, `api.example.com`. */
        egress?: string[] | undefined
        /** Which ports of the session have a hostname; left out: `main`. */
        ports?: 'main' | 'all' | undefined
      }
    | null
    | undefined
  /** Told to the app as `X-Verified-User` with each request by the token. */
  user?: string | undefined
  /** Told to the app as `X-Verified-Auth`, as JSON. */
  auth?: Record<string, unknown> | undefined
  /** For whom the caller connects: the `authUrl` of the template is asked first, and says who the user is. */
  visitor?:
    | {
        /** `Cookie`, `Authorization`, `Accept` and `User-Agent` of its request. */
        headers: Record<string, string>
        address?: string | undefined
      }
    | undefined
  tokenLifetime?: string | undefined
  /** A token of the caller's own. */
  token?: string | undefined
}

export type SessionState = 'scheduled' | 'loading' | 'starting' | 'waiting' | 'ready' | 'asleep' | 'ending' | 'ended'

/** How a session ended. `swept`: nobody used it. `lost`: its node was. */
export type SessionEnd = {
  at: string
  reason: 'swept' | 'lifetime' | 'asked' | 'crashed' | 'lost'
  kind: 'soft' | 'hard'
  exitCode?: number | undefined
  detail?: string | undefined
}

/** A session as it is shown. */
export type SessionView = {
  session: string
  template: string
  key: { name: string; namespace: string; tag?: string | undefined } | null
  state: SessionState
  since: string
  /** When it ends, whoever uses it. */
  until: string | null
  url: string
  users: string[]
  node: string | null
  /** It was started ahead of time, and is nobody's yet. */
  warm: boolean
  end: SessionEnd | null
}

/** A session with a URL and a token for one visitor. */
export type Connected = SessionView & {
  /** Whether this call has made it, or taken it from the pool. */
  spawned: boolean
  /** Whether this call has taken it from the sessions that were started ahead of time. */
  fromPool: boolean
  /** null: whoever knows the hostname may visit. */
  token: string | null
  statusUrl: string
}

/** One event of a status stream. `end`: how it ended, with the states `ending` and `ended`. */
export type SessionStatus = {
  readonly state: SessionState
  readonly at: string
  readonly end?: SessionEnd
}
