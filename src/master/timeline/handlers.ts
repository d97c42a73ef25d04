import type { historyCalls } from '../../api/history-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import type { Timelines } from './timelines.ts'

type Parts = { readonly find: (name: AppName) => Promise<App>; readonly timelines: Timelines }

/** The handlers of the calls about what has happened to apps. */
export function timelineHandlers({ find, timelines }: Parts): Pick<Handlers, keyof typeof historyCalls> {
  return {
    getTimeline: async ({ params, query }) => ({ value: await timelines.page(await find(params.app), query) }),
    async getSeries({ params, query }) {
      const { from, to } = query
      if (from !== undefined && to !== undefined && Date.parse(from) >= Date.parse(to))
        throw new ShadowError('bad-input', 'from: must be before to')
      return { value: await timelines.series(await find(params.app), query) }
    },
    getActivity: async ({ query: { apps } }) => ({ value: await timelines.activity(apps) }),
  }
}
