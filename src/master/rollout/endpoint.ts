import type { z } from 'zod'
import type { rolloutCalls } from '../../api/rollout-calls.ts'
import type { App } from '../../model/app.ts'
import type { Hostname } from '../../model/hostname.ts'
import { releaseHost } from '../../model/release-host.ts'
import type { Relay } from '../relay.ts'

type Endpoint = z.output<(typeof rolloutCalls)['getEndpoint']['answer']>

/** Where the newest release of an app is served, and each one that runs. */
export async function endpointOf(relay: Pick<Relay, 'instances'>, app: App, appsDomain: Hostname): Promise<Endpoint> {
  const { items } = await relay.instances()
  const counts = new Map<number, number>([[app.task.revision, 0]])
  const count = (revision: number): void => void counts.set(revision, (counts.get(revision) ?? 0) + 1)
  for (const one of items.filter(({ app: name }) => name === app.name)) {
    if (one.phase === 'awake') count(one.revision)
    for (const former of one.formers ?? []) count(former.revision)
  }
  const [domain] = app.domains
  const scheme = app.access?.https === 'redirect' ? 'https' : 'http'
  return {
    url: domain === undefined ? null : `${scheme}://${domain}`,
    revision: app.task.revision,
    releases: [...counts]
      .toSorted(([a], [b]) => b - a)
      .map(([revision, instances]) => ({
        revision,
        host: releaseHost(revision, app.name, appsDomain),
        state: revision === app.task.revision ? ('newest' as const) : ('former' as const),
        instances,
      })),
  }
}
