import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { faultsOfScale, isUsual, type Scale } from '../model/scale.ts'

/** The rules to store in an app's document. Those of an app that says nothing are stored as none. */
export const scaleOf = (said: Scale | undefined): Pick<App, 'scale'> =>
  said === undefined || isUsual(said) ? { scale: undefined } : { scale: said }

/** Whether both apps have the same rules. */
export const sameScale = (one: Pick<App, 'scale'>, other: Pick<App, 'scale'>): boolean =>
  JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))

const sorted = ({ scale }: Pick<App, 'scale'>): unknown =>
  scale && [scale.min, scale.max, scale.concurrency?.soft, scale.concurrency?.hard, scale.cpu]

/** Fails with `bad-input` if the app has a volume and its rules ask for more than one instance; the error names every field. */
export function mustSuit({ name, scale, task }: Pick<App, 'name' | 'scale' | 'task'>): void {
  if (scale === undefined || task.volume === undefined) return
  const faults = faultsOfScale(scale, true).map(({ field, message }) => ({ field: `scale.${field}`, message }))
  if (faults.length === 0) return
  const lines = faults.map(({ field, message }) => `${field}: ${message}`)
  throw new ShadowError('bad-input', lines.join('\n'), {
    faults,
    hint: `shadow scale ${name} --min 0 --max 1 --concurrency default`,
  })
}
