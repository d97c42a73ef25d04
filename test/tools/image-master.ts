import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { masterSettings } from '../../src/master/config.ts'
import { type Master, startMaster } from '../../src/master/main.ts'

/** A master in this process, alone with its store. */
export type ImageMaster = AsyncDisposable & { readonly master: Master; readonly data: string }

export async function imageMaster(settings: Record<string, string> = {}): Promise<ImageMaster> {
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-images-'))
  const given = { SHADOW_DATA: data, SHADOW_MASTER_LISTEN: '127.0.0.1:0', ...settings }
  const master = await startMaster(readSettings(masterSettings, given), { clock: systemClock, log: noLog })
  return {
    master,
    data,
    async [Symbol.asyncDispose]() {
      await master[Symbol.asyncDispose]()
      await rm(data, { recursive: true, force: true })
    },
  }
}
