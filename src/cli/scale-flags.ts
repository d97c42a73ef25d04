import type { Command } from 'commander'
import { type Fault, ShadowError } from '../lib/errors.ts'
import { type Concurrency, faultsOfScale, MOST_INSTANCES, SCALE_DEFAULTS, type Scale } from '../model/scale.ts'
import { parsedFlag } from './command-options.ts'

/** Flags of `register` and `scale` as commander gives them. */
export type ScaleFlags = {
  readonly min?: string
  readonly max?: string
  readonly concurrency?: string
  readonly targetCpu?: string
}

/** The value of a flag that takes the app's own setting away. */
const DEFAULT = 'default'

const { min, max, concurrency, cpu } = SCALE_DEFAULTS

/** Adds the flags that say how many instances an app has. */
export function scaleOptions(command: Command): Command {
  return command
    .option('--min <instances>', `so many instances are kept awake, used or not; default: ${min}`)
    .option('--max <instances>', `never more instances than this; 1 for an app with a volume; default: ${max}`)
    .option(
      '--concurrency <soft:hard>',
      `requests in flight of an instance: above soft another one is made ready, and none is given more than hard; default: ${concurrency.soft}:${concurrency.hard}, and no limit with --max 1`,
    )
    .option(
      '--target-cpu <percent>',
      `share of its --cpus that an instance may use before another one is made ready; default: ${cpu}`,
    )
}

/** Whether there is any of these flags. */
export const hasScaleFlags = ({ min, max, concurrency, targetCpu }: ScaleFlags): boolean =>
  [min, max, concurrency, targetCpu].some(flag => flag !== undefined)

/** Applies the flags to the rules `before`. Fails with `bad-input`, which names every wrong flag. */
export function withScaleFlags(flags: ScaleFlags, before: Scale = { min, max }): Scale {
  const faults: Fault[] = []
  const setting = <T>(flag: string, parse: (text: string) => T, given: string | undefined, had: T) =>
    given === undefined ? had : given === DEFAULT ? undefined : parsedFlag(flag, parse, given, faults)
  const after = {
    min: setting('--min', wholeNumber(0, MOST_INSTANCES), flags.min, before.min) ?? min,
    max: setting('--max', wholeNumber(1, MOST_INSTANCES), flags.max, before.max) ?? max,
    concurrency: setting('--concurrency', softAndHard, flags.concurrency, before.concurrency),
    cpu: setting('--target-cpu', wholeNumber(1, 100), flags.targetCpu, before.cpu),
  }
  const wrong = new Set(faults.map(({ field }) => field))
  for (const { field, message } of faultsOfScale(after, false))
    if (!wrong.has(`--${field}`)) faults.push({ field: `--${field}`, message })
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  return after
}

function softAndHard(text: string): Concurrency {
  const [, soft = '', hard = ''] = /^(\d{1,7}):(\d{1,7})$/.exec(text) ?? []
  if (Number(soft) < 1 || Number(hard) < 1)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not SOFT:HARD, such as 50:100`)
  return { soft: Number(soft), hard: Number(hard) }
}

const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const number = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= least && number <= most))
      throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a whole number from ${least} to ${most}`)
    return number
  }
