import { isFailure } from '../../lib/errors.ts'
import { type Check, ok, warning } from './finding.ts'

/** Whether this node can make backups. Without any it works. */
export const resticCheck = (path: string): Check => ({
  name: 'restic',
  async run() {
    const about = { check: 'restic', what: 'restic, which makes backups', where: path }
    const { restic } = await import('../../nodeproxy/backups/restic.ts')
    try {
      await restic(path).mustBeThere()
      return [ok({ ...about, value: 'can be used' })]
    } catch (error) {
      if (!isFailure(error, 'no-restic')) throw error
      return [warning({ ...about, value: error.message }, error.details.hint ?? 'set SHADOW_RESTIC to its path')]
    }
  },
})
