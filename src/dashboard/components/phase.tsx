const PHASE_WORDS: Readonly<Record<string, string>> = {
  awake: 'awake',
  waking: 'waking',
  frozen: 'frozen',
  suspended: 'suspended',
  asleep: 'asleep',
  stopping: 'going to sleep',
  crashed: 'crashed',
  stuck: 'stuck',
  unknown: 'unknown',
}

/** The phase of an app: a mark and a word, so that colour is not needed to tell them apart. */
export function Phase({ phase, isPaused = false }: { phase: string; isPaused?: boolean }) {
  return (
    <span class={`phase ${phase}`}>
      <span class="phase-mark" aria-hidden="true" />
      {isPaused && phase === 'asleep' ? 'paused' : (PHASE_WORDS[phase] ?? phase)}
    </span>
  )
}
