import type { HandlerInput } from '../../api/call-shape.ts'
import type { nodeHistoryCalls } from '../../api/history-calls.ts'
import type { NodeHistory } from './history.ts'

type Input<Name extends keyof typeof nodeHistoryCalls> = HandlerInput<(typeof nodeHistoryCalls)[Name]>

/** The handlers of a node's calls about the history of its apps. */
export const historyHandlers = (history: NodeHistory) => ({
  listEvents: async ({ params: { app }, query: { kind, ...query } }: Input<'listEvents'>) => ({
    items: [...(await history.events(app, { ...query, kinds: kind }))],
  }),
  readSeries: async ({ params: { app }, query }: Input<'readSeries'>) => ({
    items: [...(await history.series(app, query))],
  }),
  readActivity: async ({ query: { apps, from } }: Input<'readActivity'>) => ({
    items: (await history.activity(apps, from)).map(({ app, hours }) => ({ app, hours: [...hours] })),
  }),
})
