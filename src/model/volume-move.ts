/** The stages of a move, in their order: the app serves, is put to sleep, sleeps for the last pass, and changes its node. */
export const MOVE_STAGES = ['copying', 'stopping', 'finishing', 'switching'] as const
export type MoveStage = (typeof MOVE_STAGES)[number]

/** How far a move of a volume is. */
export type MoveProgress = {
  readonly stage: MoveStage
  /** A pass reads all data of the volume, and sends what the new node does not have. */
  readonly pass: number
  /** What this pass has read, and what it has to read. */
  readonly readBytes: number
  readonly ofBytes: number
  /** What all passes have sent. */
  readonly sentBytes: number
}

/** An app waits for the last pass, so that pass should have little to send. */
const LITTLE_BYTES = 16 * 1024 * 1024
/** An app that writes faster than its volume is copied is moved too. */
const MOST_PASSES = 5

/** Whether the next pass is the last one, for which the app sleeps. `sent`: what each pass has sent while the app served. */
export function goesLast(sent: readonly number[]): boolean {
  const now = sent.at(-1)
  if (now === undefined) return false
  const before = sent.at(-2) ?? Number.POSITIVE_INFINITY
  // Passes that do not become much smaller gain nothing.
  return now <= LITTLE_BYTES || now > before / 2 || sent.length >= MOST_PASSES
}
