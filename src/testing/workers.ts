/** How many workers fronts and nodes have in tests. Suites that run again with several workers set it first. */
export const inTests = { workers: '1' }
