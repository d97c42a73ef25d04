/** The paths of the master's calls about webhooks. */
export const noticePaths = {
  addWebhook: 'POST /v1/webhooks',
  listWebhooks: 'GET /v1/webhooks',
  removeWebhook: 'DELETE /v1/webhooks/:webhook',
  testWebhook: 'POST /v1/webhooks/:webhook/test',
} as const
