import type { Command } from 'commander'
import { withExamples } from '../command-options.ts'
import { type DaemonFlags, runDaemon } from '../daemon.ts'
import { print } from '../print.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  command
    .option('--data <folder>', 'data folder; left out: SHADOW_DATA, or /var/lib/shadow for root')
    .option('--listen <address>', 'address that the front listens on; left out: SHADOW_LISTEN, or 0.0.0.0:8090')
    .option('--json', 'print where it listens as JSON once it does; its log is JSON on a terminal too')
    .addHelpText(
      'after',
      `
The front is open to other machines, so that apps can be reached; master and node listen on this machine only.
Ctrl-C puts the apps to sleep and ends. SIGTERM ends and leaves them running for the next start. A second signal ends at once.
All other settings are read from the environment: shadow help settings`,
    )
    .action(async ({ json, ...flags }: DaemonFlags) => {
      const { readUpConfig } = await import('../up-config.ts')
      const { startUp } = await import('../up.ts')
      const config = readUpConfig(terminal.env, flags)
      await runDaemon({ name: 'shadow', level: config.master.logLevel, terminal, json: json === true }, async given => {
        const up = await startUp(config, given)
        const { port } = new URL(up.frontUrl)
        terminal.err(
          `
shadow is up
  front     ${up.frontUrl}
  master    ${up.masterUrl}
  dashboard ${config.master.dashboardUrl ?? up.masterUrl}/ (shadow dashboard opens it)
  storage   ${up.storage}

  shadow register hello --image nginx --port 80
  curl http://hello.${config.master.appsDomain}:${port}/

`,
        )
        print(terminal, json, { front: up.frontUrl, master: up.masterUrl, storage: up.storage }, () => '')
        return up
      })
    })
  withExamples(command, 'shadow up', 'shadow up --data ./data --listen 127.0.0.1:8090')
}
