/** Three digits, and no more than people read. @internal */
export const rounded = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))

/** Hours; of less than one, minutes or seconds. */
export function sayHours(seconds: number): string {
  if (seconds === 0 || seconds >= 3_600) return `${rounded(seconds / 3_600)} h`
  return seconds >= 60 ? `${rounded(seconds / 60)} min` : `${seconds >= 1 ? rounded(seconds) : '<1'} s`
}
export const sayGiBHours = (hours: number): string => `${hours > 0 && hours < 0.001 ? '<0.001' : rounded(hours)} GiB h`

/** Two digits behind the point; of less than a cent, two that are not 0. */
export const sayCost = (cost: number): string =>
  cost === 0 || Math.abs(cost) >= 0.01 ? cost.toFixed(2) : String(Number(cost.toPrecision(2)))

/** A part as percent of the whole; `–` where there is no whole. */
export const sayShare = (part: number, whole: number | null | undefined): string =>
  whole == null || whole <= 0 ? '–' : `${rounded((100 * part) / whole)} %`
