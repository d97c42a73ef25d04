import { pipeline } from 'node:stream/promises'
import type { fileCalls } from '../api/file-calls.ts'
import { instanceId } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import type { Apps } from './apps.ts'
import type { Handlers } from './call.ts'
import type { Relay } from './relay.ts'

type Parts = { readonly apps: Pick<Apps, 'find'>; readonly relay: Pick<Relay, 'atVolume'> }

/** The handlers of the calls about files in the containers of apps: the node of the app does them. */
export function fileHandlers({ apps, relay }: Parts): Pick<Handlers, keyof typeof fileCalls> {
  const at = async (name: AppName) => {
    const { client, headers } = await relay.atVolume((await apps.find(name)).app)
    return { client, asked: { params: { instance: instanceId(name) }, headers } }
  }
  return {
    async statFile({ params, query }, { signal }) {
      const { client, asked } = await at(params.app)
      return { value: await client.call('statFile', { ...asked, query, signal }) }
    },
    async readFiles({ params, query }, { response, signal }) {
      const { client, asked } = await at(params.app)
      const answer = await client.raw('readFiles', { ...asked, query, signal })
      response.writeHead(200, { 'content-type': 'application/x-tar', 'cache-control': 'no-store' })
      response.flushHeaders()
      await pipeline(answer.body, response, { signal })
    },
    async writeFiles({ params, query }, { request, signal }) {
      const { client, asked } = await at(params.app)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const content = request.iterator({ destroyOnReturn: false })
      const { body } = await client.raw('writeFiles', { ...asked, query, content, signal })
      body.resume()
    },
  }
}
