/** How many workers the fronts and nodes of tests have: those that are run once more with several set it first. */
export const inTests = { workers: '1' }
