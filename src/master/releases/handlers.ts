import type { releaseCalls } from '../../api/release-calls.ts'
import type { App } from '../../model/app.ts'
import { type AppName, appName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import type { Digests } from '../digests.ts'
import type { AppSecrets } from './app-secrets.ts'
import type { Needed } from './needed.ts'
import type { Releases } from './releases.ts'

type Parts = {
  readonly find: (name: AppName) => Promise<App>
  readonly releases: Releases
  readonly secrets: AppSecrets
  readonly needed: Needed
  readonly digests: Digests
}

/** The handlers of the calls about releases and secrets. */
export function releaseHandlers({
  find,
  releases,
  secrets,
  needed,
  digests,
}: Parts): Pick<Handlers, keyof typeof releaseCalls> {
  const shown = (app: App, env: 'values' | 'digests'): App =>
    env === 'digests' ? { ...app, task: digests.hide(app.task) } : app

  return {
    listReleases: async ({ params }) => ({ value: await releases.list(await find(params.app)) }),
    async getRelease({ params, query: { env } }) {
      const release = await releases.get(await find(params.app), params.revision)
      return { value: env === 'digests' ? { ...release, task: digests.hide(release.task) } : release }
    },
    diffReleases: async ({ params, query }) => ({ value: await releases.diff(await find(params.app), query) }),
    async rollbackApp({ params, body: { to, note }, query: { env } }, { caller, ifMatch, signal }) {
      const made = { who: caller?.name, note }
      const { app, ...went } = await releases.rollback(params.app, { to, made, expected: ifMatch, signal })
      return { value: { app: shown(app, env), ...went } }
    },
    async listNeeded({ query: { after, limit } }) {
      const { tasks, next } = await needed.page(after === undefined ? undefined : appName(after), limit)
      const items = tasks.map(({ app, revision, image, pinned, source }) => ({
        app,
        revision,
        image,
        ...pinned,
        source: source?.digest,
      }))
      return { value: { items, next } }
    },
    neededImages: async ({ body: { images } }) => ({ value: { needed: [...(await needed.among(images))] } }),
    listSecrets: async ({ params }) => ({ value: await secrets.list(await find(params.app)) }),
    async changeSecrets({ params, body, query: { stage, strict, note, env } }, { caller, ifMatch, signal }) {
      const made = { who: caller?.name, note }
      const options = { strict, made, expected: ifMatch, signal }
      const { app, changed } = await (stage
        ? secrets.stage(params.app, body, options)
        : secrets.change(params.app, body, options))
      return { value: { app: shown(app, env), changed } }
    },
    discardSecrets: async ({ params }, { ifMatch }) => ({
      value: { discarded: [...(await secrets.discard(params.app, ifMatch))] },
    }),
  }
}
