/** `problem`: something does not work, or is about to. `warning`: it works, and could work better. */
export const LEVELS = ['ok', 'warning', 'problem'] as const
export type Level = (typeof LEVELS)[number]

/** One thing that was looked at. */
export type Finding = {
  readonly level: Level
  /** Which check it is of, such as `docker`. */
  readonly check: string
  readonly what: string
  /** The file, address, app or node that it is about. */
  readonly where: string
  /** What was found there. */
  readonly value: string
  /** How to mend it, as a command where there is one. */
  readonly mend?: string | undefined
}

/** Looks at one thing. What it throws becomes a problem, with the error's hint as the mend. */
export type Check = { readonly name: string; readonly run: (signal: AbortSignal) => Promise<readonly Finding[]> }

type About = Omit<Finding, 'level' | 'mend'>
export const ok = (about: About): Finding => ({ level: 'ok', ...about })
export const warning = (about: About, mend: string): Finding => ({ level: 'warning', ...about, mend })
export const problem = (about: About, mend: string): Finding => ({ level: 'problem', ...about, mend })
