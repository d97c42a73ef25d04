/** The paths of the master's calls by which fronts answer as name servers. */
export const dnsPaths = {
  announceFront: 'PUT /v1/fronts/:front/addresses',
  getTexts: 'GET /v1/dns-texts/:hostname',
} as const
