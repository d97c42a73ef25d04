export const overviewPaths = {
  getOverview: 'GET /v1/overview',
  followOverview: 'GET /v1/overview/events',
} as const
