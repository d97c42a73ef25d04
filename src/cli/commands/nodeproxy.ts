import type { Command } from 'commander'
import { readSettings } from '../../lib/settings.ts'
import { withExamples } from '../command-options.ts'
import { type DaemonFlags, daemonOptions, runDaemon } from '../daemon.ts'
import { print } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  daemonOptions(command).action(async ({ json, ...flags }: DaemonFlags) => {
    const { nodeproxySettings } = await import('../../nodeproxy/config.ts')
    const { startNodeproxy } = await import('../../nodeproxy/main.ts')
    const config = readSettings(nodeproxySettings, terminal.env, flags)
    await runDaemon({ name: 'nodeproxy', level: config.logLevel, terminal, json: json === true }, async given => {
      const node = await startNodeproxy(config, given)
      print(terminal, json, { node: node.name, address: node.address }, () => '')
      return node
    })
  })
  withExamples(command, 'shadow nodeproxy', 'SHADOW_MASTER=http://10.0.0.1:8080 SHADOW_TOKEN=… shadow nodeproxy')
}
