/** A Server-Timing value (W3C Server Timing) of stages in milliseconds, in the order given. */
export const serverTiming = (stages: Readonly<Record<string, number>>): string =>
  Object.entries(stages)
    .map(([stage, ms]) => `${stage};dur=${Math.round(ms * 10) / 10}`)
    .join(', ')
