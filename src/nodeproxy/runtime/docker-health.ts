import type Docker from 'dockerode'
import type { Health } from './runtime.ts'

const MOST_SAID_CHARS = 200

export const NOT_YET_HEALTHY: Health = { isHealthy: false }

type Config = { readonly Healthcheck?: { readonly Test?: readonly string[] | null } | null }

/** Whether a container made so has a check of its health, which Docker has from its image. */
export function hasCheck(config: object): boolean {
  const [kind = 'NONE'] = (config as Config).Healthcheck?.Test ?? []
  return kind !== 'NONE'
}

/** The last result of a container's health check; undefined if it has none. */
export function healthOf({ Config, State }: Docker.ContainerInspectInfo): Health | undefined {
  if (!hasCheck(Config)) return undefined
  const { Status, Log } = State.Health ?? {}
  const last = Log?.at(-1)
  const said = `exit code ${last?.ExitCode} and ${JSON.stringify((last?.Output ?? '').trim().slice(-MOST_SAID_CHARS))}`
  return { isHealthy: Status === 'healthy', said: last === undefined || last.ExitCode === 0 ? undefined : said }
}
