import type { Command } from 'commander'
import { readSettings } from '../../lib/settings.ts'
import { withExamples } from '../command-options.ts'
import { type DaemonFlags, daemonOptions, runDaemon } from '../daemon.ts'
import { joinCommands } from '../join.ts'
import { print } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  daemonOptions(command).action(async ({ json, ...flags }: DaemonFlags) => {
    const { proxySettings } = await import('../../proxy/config.ts')
    const { startProxy } = await import('../../proxy/main.ts')
    const config = readSettings(proxySettings, terminal.env, flags)
    await runDaemon({ name: 'proxy', level: config.logLevel, terminal, json: json === true }, async given => {
      const front = await startProxy(config, given)
      print(terminal, json, { address: front.address }, () => '')
      return { stop: async () => front[Symbol.asyncDispose]() }
    })
  })
  withExamples(
    command,
    'shadow proxy --listen 0.0.0.0:80',
    'SHADOW_MASTER=http://10.0.0.1:8080 SHADOW_TOKEN=… shadow proxy',
  )
  // Flags after `join` are those of `join`.
  joinCommands(command.enablePositionalOptions(), 'proxy', terminal)
}
