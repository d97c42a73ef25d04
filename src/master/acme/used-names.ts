import { isFailure } from '../../lib/errors.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { Lookup } from '../lookup.ts'

/** Whether an app has this hostname. */
export const usedNames =
  (lookup: Pick<Lookup, 'atHost'>) =>
  async (name: string): Promise<boolean> => {
    try {
      await lookup.atHost(name as Hostname)
      return true
    } catch (error) {
      if (isFailure(error, 'host-unknown')) return false
      throw error
    }
  }
