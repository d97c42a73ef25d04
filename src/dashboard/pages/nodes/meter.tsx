const NEAR = 0.8
const FULL = 0.95

/** How much of something is in use. */
export function Meter({ share, says }: { share: number; says: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * 100)
  const kind = share >= FULL ? 'meter full' : share >= NEAR ? 'meter near' : 'meter'
  return (
    // biome-ignore lint/a11y/useSemanticElements: the element meter cannot be coloured alike in all browsers
    <div class={kind} role="meter" aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent} aria-label={says}>
      <div style={{ width: `${percent}%` }} />
    </div>
  )
}
