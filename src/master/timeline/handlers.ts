import type { historyCalls } from '../../api/history-calls.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import type { Timelines } from './timelines.ts'

type Parts = { readonly find: (name: AppName) => Promise<App>; readonly timelines: Timelines }

/** The handlers of the calls about what has happened to apps. */
export function timelineHandlers({ find, timelines }: Parts): Pick<Handlers, keyof typeof historyCalls> {
  const findAll = async (names: readonly AppName[]): Promise<readonly App[]> => {
    const found = await mapAtMost(16, names, name =>
      find(name).catch(error => {
        if (isFailure(error, 'app-not-found')) return undefined // it was removed a moment ago, and the others are told
        throw error
      }),
    )
    return found.filter(app => app !== undefined)
  }
  return {
    getTimeline: async ({ params, query }) => ({ value: await timelines.page(await find(params.app), query) }),
    async getSeries({ params, query }) {
      const { from, to } = query
      if (from !== undefined && to !== undefined && Date.parse(from) >= Date.parse(to))
        throw new ShadowError('bad-input', 'from: must be before to')
      return { value: await timelines.series(await find(params.app), query) }
    },
    getActivity: async ({ query: { apps } }) => ({ value: await timelines.activity(await findAll(apps)) }),
  }
}
