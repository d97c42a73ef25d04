const HEIGHT = 22

/** The hours of a week in which an app was awake: one bar for each hour, as high as its share. */
export function WeekStrip({ hours }: { hours: readonly number[] | undefined }) {
  if (hours === undefined) return <span class="strip strip-empty" aria-hidden="true" />
  const sum = hours.reduce((total, share) => total + share, 0)
  const said = `awake for ${sum < 10 ? sum.toFixed(1) : Math.round(sum)} of the last ${hours.length} hours`
  return (
    <svg
      class="strip"
      viewBox={`0 0 ${hours.length} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={said}
    >
      <title>{said}</title>
      {Array.from({ length: Math.floor(hours.length / 24) - 1 }, (_, day) => (
        <rect key={`day ${day}`} class="strip-day" x={(day + 1) * 24 - 0.25} y={0} width={0.5} height={HEIGHT} />
      ))}
      {hours.map((share, hour) => {
        if (share <= 0) return null
        const height = Math.max(4, share * HEIGHT)
        return <rect key={hour} class="strip-hour" x={hour} y={HEIGHT - height} width={1} height={height} />
      })}
    </svg>
  )
}
