/** The paths of the master's calls about what apps have used, and may use. */
export const usagePaths = {
  reportUsage: 'PUT /v1/usage/:node',
  getUsage: 'GET /v1/usage',
  setBudget: 'PUT /v1/budgets/:kind/:name',
  removeBudget: 'DELETE /v1/budgets/:kind/:name',
  listBudgets: 'GET /v1/budgets',
} as const
