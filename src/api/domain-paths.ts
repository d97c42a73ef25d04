/** The paths of the master's calls about hostnames. */
export const domainPaths = {
  listDomains: 'GET /v1/apps/:app/domains',
} as const
