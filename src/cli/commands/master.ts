import type { Command } from 'commander'
import { readSettings } from '../../lib/settings.ts'
import { daemonOptions, runDaemon } from '../daemon.ts'
import { withExamples } from '../options.ts'
import type { Terminal } from '../terminal.ts'

type Flags = { readonly listen?: string; readonly data?: string }

export function define(command: Command, terminal: Terminal): void {
  daemonOptions(command).action(async (flags: Flags) => {
    const { masterSettings } = await import('../../master/config.ts')
    const { startMaster } = await import('../../master/main.ts')
    const config = readSettings(masterSettings, terminal.env, flags)
    await runDaemon('master', config.logLevel, async given => {
      const master = await startMaster(config, given)
      return { stop: async () => master[Symbol.asyncDispose]() }
    })
  })
  withExamples(command, 'SHADOW_STORAGE=https://KEY:SECRET@s3.example.com/shadow shadow master --listen 0.0.0.0:8080')
}
