/** How many apps an app may use. */
export const MOST_COMPANIONS = 10
/** How many apps may hang together by their uses. */
export const MOST_TOGETHER = 50
