import type { Command } from 'commander'
import { readSettings } from '../../lib/settings.ts'
import { withExamples } from '../command-options.ts'
import { type DaemonFlags, daemonOptions, runDaemon } from '../daemon.ts'
import { writeEndpoints } from '../endpoints.ts'
import { print } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  daemonOptions(command).action(async ({ json, ...flags }: DaemonFlags) => {
    const { masterSettings } = await import('../../master/config.ts')
    const { startMaster } = await import('../../master/main.ts')
    const config = readSettings(masterSettings, terminal.env, flags)
    await runDaemon({ name: 'master', level: config.logLevel, terminal, json: json === true }, async given => {
      const master = await startMaster(config, given)
      await writeEndpoints(config.data, { master: master.url, ca: master.ca })
      print(terminal, json, { master: master.url, storage: master.storage }, () => '')
      return { stop: async () => master[Symbol.asyncDispose]() }
    })
  })
  withExamples(command, 'SHADOW_STORAGE=https://KEY:SECRET@s3.example.com/shadow shadow master --listen 0.0.0.0:8080')
}
