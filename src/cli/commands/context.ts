import type { Command } from 'commander'
import { url } from '../../lib/settings.ts'
import { readAuthority } from '../authority-file.ts'
import { withExamples } from '../command-options.ts'
import { contextsFile } from '../config.ts'
import { openContexts } from '../contexts.ts'
import { print, table } from '../print.ts'
import type { Terminal } from '../terminal.ts'

type Flags = { readonly json?: true }
type AddFlags = Flags & { readonly url: string; readonly token: string; readonly ca?: string; readonly front?: string }

export function define(command: Command, terminal: Terminal): void {
  const open = () => openContexts(contextsFile(terminal.env))
  const verb = (name: string, says: string, example: string): Command =>
    withExamples(command.command(name).description(says).option('--json', 'print JSON'), example)

  verb('add', 'keep a master under a name', 'shadow context add home --url https://master.example.com --token …')
    .argument('<name>')
    .requiredOption('--url <url>', 'URL of the master')
    .requiredOption('--token <token>', 'a token of that master (shadow token create)')
    .option('--ca <file>', 'file with the CA of its cluster (shadow cluster ca)')
    .option('--front <url>', 'URL of its front, for the URLs that the CLI prints')
    .action(async (name: string, flags: AddFlags) => {
      const contexts = await open()
      const context = {
        url: url(flags.url),
        token: flags.token,
        ...(flags.ca && { ca: await readAuthority(flags.ca) }),
        ...(flags.front && { front: url(flags.front) }),
      }
      await contexts.add(name, context)
      print(terminal, flags.json, { name, url: context.url, current: contexts.current === name }, () => '')
      terminal.err(`context ${name} is kept${contexts.current === name ? ' and is the current one' : ''}\n`)
    })

  verb('ls', 'list all contexts; * marks the current one', 'shadow context ls').action(async (flags: Flags) => {
    const contexts = await open()
    const shown = contexts.list().map(({ name, url }) => ({ name, url, current: name === contexts.current }))
    print(terminal, flags.json, { contexts: shown }, () =>
      table(
        terminal,
        ['', 'NAME', 'URL'],
        shown.map(({ name, url, current }) => [current ? '*' : '', name, url]),
      ),
    )
  })

  verb('use', 'make a context the current one', 'shadow context use home')
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      await (await open()).use(name)
      print(terminal, flags.json, { current: name }, () => '')
      terminal.err(`context ${name} is the current one\n`)
    })

  verb('rm', 'forget a context', 'shadow context rm home')
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      await (await open()).remove(name)
      print(terminal, flags.json, { removed: name }, () => '')
      terminal.err(`context ${name} is forgotten\n`)
    })
}
