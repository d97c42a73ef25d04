import type { buildCalls } from '../../api/build-calls.ts'
import { textsOf } from '../../api/build-schemas.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Apps } from '../apps.ts'
import type { BlobHandlers } from '../blobs/handlers.ts'
import type { Handlers } from '../call.ts'
import type { History } from '../history.ts'
import type { Permits } from '../permits.ts'
import type { Relay } from '../relay.ts'

type Parts = {
  readonly apps: Apps
  readonly relay: Relay
  readonly history: History
  readonly permits: Permits
  readonly blobs: BlobHandlers
}

/** The calls by which folders become apps. */
export function buildHandlers({
  apps,
  relay,
  history,
  permits,
  blobs,
}: Parts): Pick<Handlers, keyof typeof buildCalls> {
  /** The app, or its name if there is none yet: its image is built before it is registered. */
  const known = async (name: AppName): Promise<App | AppName> => {
    try {
      return (await apps.find(name)).app
    } catch (error) {
      if (isFailure(error, 'app-not-found')) return name
      throw error
    }
  }
  return {
    manifestSchema: async () => {
      const { manifestJsonSchema } = await import('../../api/manifest-json-schema.ts')
      return { value: manifestJsonSchema() }
    },
    async getSource({ params: { app: name, digest } }, { caller, permit, request, response, signal }) {
      const { app } = await apps.find(name)
      await permits.mustBePlaced(app, caller, permit)
      const has = (task: TaskDefinition): boolean => task.source?.digest === digest
      // Not every blob: a node must not read the sources of apps that are elsewhere.
      if (!has(app.task) && !(await history.list(app)).some(({ task }) => has(task)))
        throw new ShadowError('not-found', `no revision of ${name} has the source ${digest}`)
      await blobs.get(digest, request, response, signal)
    },
    buildImage: async ({ params, query }, { request, response, signal }) =>
      relay.makeImage('buildImage', await known(params.app), textsOf(query), request, response, signal),
    loadImage: async ({ params }, { request, response, signal }) =>
      relay.makeImage('loadImage', await known(params.app), {}, request, response, signal),
  }
}
