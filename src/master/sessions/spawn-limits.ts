import { ShadowError } from '../../lib/errors.ts'
import { type Size, toBytes } from '../../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'

type Limits = TaskDefinition['limits']
type Asked = { readonly [Name in keyof Limits]?: Limits[Name] | undefined }

/** The limits of one session. Fails with `bad-input` for one that is above that of its template, so that no caller gets more than was planned for. */
export function limitsWithin(template: Limits, asked: Asked): Limits {
  const { memory, disk = TASK_DEFAULTS.disk, shm = TASK_DEFAULTS.shm, reserve = memory, cpus, pids } = template
  const most = { memory, disk, shm, reserve } as Readonly<Record<string, Size>>
  const faults = [
    ...Object.entries(most).flatMap(([name, size]) => {
      const given = asked[name as 'memory']
      return given !== undefined && toBytes(given) > toBytes(size) ? above(name, given, size) : []
    }),
    ...Object.entries({ cpus, pids }).flatMap(([name, count]) => {
      const given = asked[name as 'cpus']
      return given !== undefined && given > count ? above(name, String(given), String(count)) : []
    }),
  ]
  const [first] = faults
  if (first !== undefined) throw new ShadowError('bad-input', `${first.field}: ${first.message}`, { faults })
  const limits = { ...template, ...asked } as Limits
  // Less memory has no room for what is kept and shared of more.
  const fits = (size: Size | undefined): boolean => size === undefined || toBytes(size) <= toBytes(limits.memory)
  return {
    ...limits,
    ...(asked.reserve === undefined && !fits(limits.reserve) && { reserve: limits.memory }),
    ...(asked.shm === undefined && !fits(limits.shm) && { shm: limits.memory }),
  }
}

const above = (name: string, asked: string, most: string) => ({
  field: `spawn.limits.${name}`,
  message: `${asked} is more than the ${most} of the template`,
})
