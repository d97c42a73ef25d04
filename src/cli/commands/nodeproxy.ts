import type { Command } from 'commander'
import { readSettings } from '../../lib/settings.ts'
import { daemonOptions, runDaemon } from '../daemon.ts'
import { withExamples } from '../options.ts'
import type { Terminal } from '../terminal.ts'

type Flags = { readonly listen?: string; readonly data?: string }

export function define(command: Command, terminal: Terminal): void {
  daemonOptions(command).action(async (flags: Flags) => {
    const { nodeproxySettings } = await import('../../nodeproxy/config.ts')
    const { startNodeproxy } = await import('../../nodeproxy/main.ts')
    const config = readSettings(nodeproxySettings, terminal.env, flags)
    await runDaemon('nodeproxy', config.logLevel, given => startNodeproxy(config, given))
  })
  withExamples(
    command,
    'SHADOW_MASTER=https://master.example.com SHADOW_TOKEN=… shadow nodeproxy --listen 0.0.0.0:8081',
  )
}
