import { PassThrough, Readable } from 'node:stream'
import { Command } from 'commander'
import { verbs } from '../../src/cli/commands.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

const HELP_WIDTH = 120

/** Commands need a terminal, but do not use it for their help. */
const NOBODY: Terminal = {
  env: {},
  out: () => undefined,
  err: () => undefined,
  live: () => undefined,
  interactive: false,
  colours: false,
  style: (_, text) => text,
  ask: async () => '',
  askSecret: async () => undefined,
  pipes: {
    in: Readable.from([]),
    inIsTerminal: true,
    out: new PassThrough(),
    outIsTerminal: true,
    err: new PassThrough(),
  },
  screen: undefined,
  now: () => 0,
  redraw: () => undefined,
  outlive: () => undefined,
  raw: () => undefined,
}

/** The help of every command. */
export async function cliPage(made: string): Promise<string> {
  const shadow = new Command('shadow').helpCommand(false).enablePositionalOptions()
  const sections: string[] = []
  for (const [name, { says, load }] of Object.entries(verbs)) {
    const verb = shadow.command(name).description(says)
    const { define } = await load()
    define(verb, NOBODY)
    sections.push(`## shadow ${name}\n\n${[verb, ...verb.commands].map(helpOf).join('\n')}`)
  }
  return `# CLI reference

${made}
What \`shadow COMMAND --help\` prints. Data goes to stdout, progress and errors go to stderr. The CLI finds its master by \`--context\`, by
\`SHADOW_URL\` and \`SHADOW_TOKEN\`, by the current context, or by the data folder of \`shadow up\` on this machine, in this order.

${sections.join('\n')}`
}

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({ writeOut: text => (help += text), getOutHelpWidth: () => HELP_WIDTH })
  command.outputHelp()
  return `\`\`\`text\n${help.trim()}\n\`\`\`\n`
}
