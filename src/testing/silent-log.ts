import type { Log } from '../lib/log.ts'

const nothing = (): void => undefined

/** A log for tests that do not check log lines. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
