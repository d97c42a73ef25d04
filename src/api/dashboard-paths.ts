/** The calls of the web page at the masters, and of those who sign in there. */
export const dashboardPaths = {
  getSignIn: 'GET /v1/dashboard/sign-in',
  startDashboardSession: 'POST /v1/dashboard/session',
  getDashboardSession: 'GET /v1/dashboard/session',
  endDashboardSession: 'DELETE /v1/dashboard/session',
  startOidc: 'GET /v1/dashboard/oidc/start',
  finishOidc: 'GET /v1/dashboard/oidc/callback',
  createDashboardLink: 'POST /v1/dashboard/links',
} as const
