import type { overviewCalls } from '../../api/overview-calls.ts'
import type { Handlers } from '../call.ts'
import { mustHave, scopeOf } from '../owners/permission.ts'
import type { Overview } from './overview.ts'

/** The handlers of the calls about all apps at a glance. An owner is shown its own apps, and counts of these. */
export function overviewHandlers(
  overview: Overview,
  currency: string | null,
): Pick<Handlers, keyof typeof overviewCalls> {
  return {
    getOverview: async ({ query }, { caller }) => ({
      value: { ...(await overview.page(query, scopeOf(caller))), currency },
    }),
    async followOverview({ query: { app } }, { caller, response, signal }) {
      const scope = scopeOf(caller)
      if (scope !== undefined && app !== undefined) mustHave(scope, app)
      await overview.stream({ scope, app }, response, signal)
    },
  }
}
