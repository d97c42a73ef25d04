/** The paths of the master's calls about what has happened to apps. */
export const historyPaths = {
  getTimeline: 'GET /v1/apps/:app/timeline',
  getSeries: 'GET /v1/apps/:app/series',
  getActivity: 'GET /v1/activity',
} as const

export const nodeHistoryPaths = {
  listEvents: 'GET /v1/apps/:app/events',
  readSeries: 'GET /v1/apps/:app/series',
  readActivity: 'GET /v1/activity',
} as const
