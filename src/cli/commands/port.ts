import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { duration } from '../../model/quantities.ts'
import { sayTcpPort, TCP_DEFAULTS, type TcpPort, usualListen } from '../../model/tcp.ts'
import { changeApp } from '../change-app.ts'
import { type CallFlags, callsMaster, parsedFlag } from '../command-options.ts'
import { sayFrontPort } from '../explain-tcp.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type AddFlags = CallFlags & { readonly listen?: string; readonly idle?: string; readonly connections?: string }

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('add')
      .description('open a port on the fronts whose connections wake the app, and go to one of its ports')
      .argument('<name>', 'the app')
      .argument('<port>', 'the port that the app listens on')
      .option('--listen <port>', `the port of the fronts; default: ${TCP_DEFAULTS.above} more than the port`)
      .option('--idle <time>', 'close a connection on which no byte passes for so long; default: never')
      .option(
        '--connections <number>',
        `most connections at a time, of each front; default: ${TCP_DEFAULTS.connections}`,
      )
      .addHelpText(
        'after',
        `
Bytes pass as they are, both ways, for any protocol in which the client connects: PostgreSQL, SSH, Redis. An app that sleeps is woken by a
connection, and it does not sleep while one is open. Fronts open ports of SHADOW_TCP_PORTS only. The networks of shadow access count for
connections too. A port that is added again is changed.`,
      )
      .action(async (name: string, port: string, flags: AddFlags) => {
        const added = portOf(port, flags)
        const { master } = await findTarget(terminal, flags)
        const app = await orNearApps(master, name, () =>
          change(master, name, ports => [...ports.filter(({ listen }) => listen !== added.listen), added]),
        )
        print(terminal, flags.json, { app: app.name, tcp: app.tcp ?? [] }, () => `${sayTcpPort(added)}\n`)
      }),
    'shadow port add blog-db 5432',
    'shadow port add blog-db 5432 --listen 15433 --idle 1h',
  )
  callsMaster(
    command
      .command('ls')
      .description('list the TCP ports of an app, and whether the fronts have opened them')
      .argument('<name>', 'the app')
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const said = await orNearApps(master, name, () => master.call('getTcp', { params: { app: name } }))
        const row = (port: TcpPort): string[] => [
          String(port.listen),
          String(port.port),
          port.idle ?? 'never',
          String(port.connections ?? TCP_DEFAULTS.connections),
          said.fronts.map(front => sayFrontPort(front, port.listen)).join('; ') || 'no front has said so yet',
        ]
        print(terminal, flags.json, said, () =>
          table(terminal, ['listen', 'port', 'idle', 'connections', 'fronts'], said.ports.map(row)),
        )
      }),
    'shadow port ls blog-db',
  )
  callsMaster(
    command
      .command('rm')
      .description('close a port of the fronts; open connections go on')
      .argument('<name>', 'the app')
      .argument('[listen]', 'the port of the fronts, as shadow port ls shows it')
      .option('--all', 'all ports of the app')
      .action(async (name: string, listen: string | undefined, flags: CallFlags & { readonly all?: true }) => {
        if ((listen === undefined) === (flags.all === undefined))
          throw new ShadowError('bad-input', 'give the port of the fronts, or --all', {
            hint: `shadow port ls ${name}`,
          })
        const { master } = await findTarget(terminal, flags)
        const app = await orNearApps(master, name, () => change(master, name, ports => without(name, ports, listen)))
        print(terminal, flags.json, { app: app.name, tcp: app.tcp ?? [] }, () => '')
        terminal.err(listen === undefined ? `${name} has no TCP ports any more\n` : `${listen} is closed\n`)
      }),
    'shadow port rm blog-db 15432',
  )
}

function without(name: string, ports: readonly TcpPort[], listen: string | undefined): readonly TcpPort[] {
  if (listen === undefined) return []
  const left = ports.filter(port => String(port.listen) !== listen)
  if (left.length < ports.length) return left
  throw new ShadowError('not-found', `${name} has no port ${listen} of the fronts`, { hint: `shadow port ls ${name}` })
}

function portOf(text: string, flags: AddFlags): TcpPort {
  const faults: Fault[] = []
  const number = (flag: string, given: string | undefined, most: number): number | undefined =>
    given === undefined ? undefined : parsedFlag(flag, value => wholeNumber(value, most), given, faults)
  const port = number('port', text, 65_535)
  const listen = number('--listen', flags.listen, 65_535) ?? (port && usualListen(port))
  const connections = number('--connections', flags.connections, 10_000)
  const idle = flags.idle === undefined ? undefined : parsedFlag('--idle', duration, flags.idle, faults)
  if (faults.length === 0 && listen === undefined)
    faults.push({ field: '--listen', message: `is needed for the port ${port}` })
  if (faults.length > 0 || port === undefined || listen === undefined)
    throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  return { port, listen, ...(idle !== undefined && { idle }), ...(connections !== undefined && { connections }) }
}

function wholeNumber(text: string, most: number): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text)
  throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a whole number from 1 to ${most}`)
}

const change = (
  master: MasterClient,
  name: string,
  next: (ports: readonly TcpPort[]) => readonly TcpPort[],
): Promise<App> =>
  changeApp(master, name, ({ tcp = [] }, headers) =>
    master.call('setTcp', { params: { app: name }, body: [...next(tcp)], headers, query: DIGESTS }),
  )
