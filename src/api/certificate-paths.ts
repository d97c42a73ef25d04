/** The paths of the master's calls by which fronts get certificates that come by ACME. */
export const certificatePaths = {
  wantCertificate: 'POST /v1/certificates/:hostname',
  getChallenge: 'GET /v1/acme-challenges/:challenge',
} as const
