import type { AppRow } from '../../model/overview.ts'

export type PhaseOf = Pick<AppRow, 'phase' | 'isPaused' | 'isParked'>

const PHASE_WORDS: Readonly<Record<string, string>> = {
  awake: 'awake',
  waking: 'waking',
  frozen: 'frozen',
  suspended: 'suspended',
  stopping: 'going to sleep',
  crashed: 'crashed',
  stuck: 'stuck',
  unknown: 'unknown',
}

/** The phase of an app: a mark and a word, so that colour is not needed to tell them apart. */
export function Phase({ of: { phase, isPaused, isParked } }: { of: PhaseOf }) {
  const asleep = isPaused ? 'paused' : isParked ? 'parked' : 'asleep'
  return (
    <span class={`phase ${phase}`}>
      <span class="phase-mark" aria-hidden="true" />
      {phase === 'asleep' ? asleep : (PHASE_WORDS[phase] ?? phase)}
    </span>
  )
}
