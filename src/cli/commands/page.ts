import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { MOST_PAGE_BYTES, type OwnPages, PAGE_KINDS, type PageKind, pageHtml } from '../../model/own-pages.ts'
import { sayBytes } from '../../model/quantities.ts'
import { changeApp } from '../change-app.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('set')
      .description('show visitors a page of your own while the app is woken, or where it cannot answer')
      .argument('<name>', 'the app')
      .addArgument(command.createArgument('<kind>', 'waiting or error').choices(PAGE_KINDS))
      .argument('<file>', `HTML, up to ${sayBytes(MOST_PAGE_BYTES)}; -: stdin`)
      .action(async (name: string, kind: PageKind, file: string, flags: CallFlags) => {
        const html = await readPage(terminal, file)
        await set(terminal, flags, name, kind, html)
      }),
    'shadow page set blog waiting waiting.html',
  )
  callsMaster(
    command
      .command('unset')
      .description("go back to the front's own page")
      .argument('<name>', 'the app')
      .addArgument(command.createArgument('<kind>', 'waiting or error').choices(PAGE_KINDS))
      .action((name: string, kind: PageKind, flags: CallFlags) => set(terminal, flags, name, kind, undefined)),
    'shadow page unset blog waiting',
  )
  callsMaster(
    command
      .command('ls')
      .description('list the pages of an app')
      .argument('<name>', 'the app')
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const { pages } = await orNearApps(master, name, () =>
          master.call('getApp', { params: { app: name }, query: DIGESTS }),
        )
        print(terminal, flags.json, { app: name, pages: pages ?? {} }, () => shown(terminal, pages))
      }),
    'shadow page ls blog',
  )
}

async function set(
  terminal: Terminal,
  flags: CallFlags,
  name: string,
  kind: PageKind,
  html: string | undefined,
): Promise<void> {
  const { master } = await findTarget(terminal, flags)
  const { pages } = await orNearApps(master, name, () => change(master, name, kind, html))
  print(terminal, flags.json, { app: name, pages: pages ?? {} }, () => shown(terminal, pages))
}

const change = (master: MasterClient, name: string, kind: PageKind, html: string | undefined): Promise<App> =>
  changeApp(master, name, ({ pages = {} }, headers) => {
    if (html === undefined && pages[kind] === undefined)
      throw new ShadowError('not-found', `${name} has no ${kind} page of its own; nothing was changed`)
    const body = { ...pages, [kind]: html }
    return master.call('setPages', { params: { app: name }, body, headers, query: DIGESTS })
  })

async function readPage({ pipes }: Terminal, file: string): Promise<string> {
  const bytes =
    file === '-'
      ? await buffer(Readable.from(pipes.in))
      : await readFile(file).catch((cause: Error) => {
          throw new ShadowError('bad-input', `${file} cannot be read: ${cause.message}`, { cause })
        })
  return pageHtml(bytes.toString())
}

const shown = (terminal: Terminal, pages: OwnPages = {}): string =>
  table(
    terminal,
    ['page', 'own'],
    PAGE_KINDS.map(kind => {
      const html = pages[kind]
      return [kind, html === undefined ? "- (the front's own)" : sayBytes(Buffer.byteLength(html))]
    }),
  )
