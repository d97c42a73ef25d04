import type { Command } from 'commander'
import type { z } from 'zod'
import type { SessionViewSchema } from '../../api/session-schemas.ts'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import { duration, sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, collect, parsedFlag } from '../command-options.ts'
import { readLog, showLine } from '../log-lines.ts'
import { facts, print, table } from '../print.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type View = z.output<typeof SessionViewSchema>
type ConnectFlags = CallFlags & {
  readonly key?: string
  readonly namespace?: string
  readonly tag?: string
  readonly env?: readonly string[]
  readonly lifetime?: string
  readonly idle?: string
  readonly user?: string
  readonly tokenLifetime?: string
}

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('connect')
      .description('get the session with a key, or make one; prints its URL')
      .argument('<template>', 'the template')
      .option('--key <key>', 'what it is asked for by; left out: a new session')
      .option('--namespace <name>', 'keys of different namespaces are different keys')
      .option('--tag <tag>', 'a session that lives with the key and another tag is a conflict')
      .option('--env <name=value>', 'a variable of a new session, beside those of the template', collect)
      .option('--lifetime <time>', 'how long a new session lives at most')
      .option('--idle <time>', 'how long nobody may use it')
      .option('--user <name>', 'told to the app with each request by the token')
      .option('--token-lifetime <time>', 'how long the token counts')
      .action(async (template: string, flags: ConnectFlags) => {
        const { master } = await findTarget(terminal, flags)
        const { signal } = new AbortController() // it waits for a session that is ending
        const body = { template, ...connectBody(flags) }
        const got = await whileShown(terminal, `connecting to ${template}`, () =>
          master.call('connectSession', { body, signal }),
        )
        print(terminal, flags.json, got, () => `${got.url}\n`)
        if (flags.json !== true) terminal.err(`${got.session} is ${got.state}${got.spawned ? ', and is new' : ''}\n`)
      }),
    'shadow session connect editor --key notes.md --user ann',
  )
  callsMaster(
    command
      .command('ls')
      .description('list the sessions that live')
      .option('--template <name>', 'only those of this template')
      .action(async (flags: CallFlags & { readonly template?: string }) => {
        const { master } = await findTarget(terminal, flags)
        const items: View[] = []
        let after: string | null | undefined
        do {
          const query = { ...(flags.template && { template: flags.template }), ...(after && { after }), limit: 500 }
          const page = await master.call('listSessions', { query })
          items.push(...page.items)
          after = page.next
        } while (after !== null)
        print(terminal, flags.json, { items }, () =>
          items.length === 0
            ? ''
            : table(
                terminal,
                HEAD,
                items.map(one => row(one, terminal.now())),
              ),
        )
        if (items.length === 0 && flags.json !== true) terminal.err('no session lives\n')
      }),
    'shadow session ls --template editor',
  )
  callsMaster(
    command
      .command('show')
      .description('show a session, also after its end')
      .argument('<session>', 'its name, as shadow session ls shows it')
      .action(async (session: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const seen = await master.call('getSession', { params: { session } })
        print(terminal, flags.json, seen, () => show(terminal, seen))
      }),
    `shadow session show editor--k4bq2lxwq7h3nd5a`,
  )
  callsMaster(
    command
      .command('end')
      .description('end a session: by SIGTERM and with its grace, or at once')
      .argument('<session>', 'its name, as shadow session ls shows it')
      .option('--hard', 'at once')
      .action(async (session: string, flags: CallFlags & { readonly hard?: true }) => {
        const { master } = await findTarget(terminal, flags)
        const { signal } = new AbortController() // it takes as long as the grace of the app
        const query = { kind: flags.hard ? ('hard' as const) : ('soft' as const) }
        const seen = await whileShown(terminal, `ending ${session}`, () =>
          master.call('endSession', { params: { session }, query, signal }),
        )
        print(terminal, flags.json, seen, () => `${session} has ended\n`)
      }),
    'shadow session end editor--k4bq2lxwq7h3nd5a --hard',
  )
  callsMaster(
    command
      .command('revoke')
      .description('revoke tokens: of a session, or of all sessions of a template; fronts refuse them at once')
      .argument('<name>', 'the session, or the template')
      .option('--user <name>', 'only those of this user')
      .action(async (name: string, flags: CallFlags & { readonly user?: string }) => {
        const { master } = await findTarget(terminal, flags)
        const body = flags.user === undefined ? {} : { user: flags.user }
        const done = await master.call('revokeTokens', { params: { app: name }, body })
        print(terminal, flags.json, done, () => `${done.revoked} revoked\n`)
      }),
    'shadow session revoke editor --user ann',
  )
  callsMaster(
    command
      .command('logs')
      .description('show what a session wrote and what happened to it')
      .argument('<session>', 'its name, as shadow session ls shows it')
      .option('-f, --follow', 'keep printing new lines')
      .action(async (session: string, flags: CallFlags & { readonly follow?: true }) => {
        const { master } = await findTarget(terminal, flags)
        for await (const line of readLog(master, session, flags))
          terminal.out(flags.json ? `${JSON.stringify(line)}\n` : showLine(terminal, line))
      }),
    'shadow session logs editor--k4bq2lxwq7h3nd5a -f',
  )
}

function connectBody(flags: ConnectFlags) {
  const { key, namespace, tag, env = [], user } = flags
  const faults: Fault[] = []
  const time = (flag: string, text: string | undefined) =>
    text === undefined ? undefined : parsedFlag(flag, duration, text, faults)
  const lifetime = time('--lifetime', flags.lifetime)
  const idle = time('--idle', flags.idle)
  const tokenLifetime = time('--token-lifetime', flags.tokenLifetime)
  if (key === undefined && (namespace !== undefined || tag !== undefined))
    faults.push({ field: '--key', message: '--namespace and --tag go with a key' })
  for (const one of env)
    if (!one.includes('=')) faults.push({ field: '--env', message: `"${one}" is not of the form NAME=value` })
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  const pairs = env.map(one => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)] as const)
  return {
    ...(key !== undefined && {
      key: { name: key, ...(namespace && { namespace }), ...(tag !== undefined && { tag }) },
    }),
    spawn: { env: Object.fromEntries(pairs), ...(lifetime && { lifetime }), ...(idle && { idle }) },
    ...(user !== undefined && { user }),
    ...(tokenLifetime && { tokenLifetime }),
  }
}

const HEAD = ['SESSION', 'KEY', 'STATE', 'FOR', 'NODE', 'ENDS-IN', 'USERS']

const row = ({ session, key, state, since, node, until, users }: View, now: number): string[] => [
  session,
  key?.name ?? '-',
  state,
  sayMs(Math.max(0, now - Date.parse(since))),
  node ?? '-',
  until === null ? '-' : sayMs(Math.max(0, Date.parse(until) - now)),
  users.join(' ') || '-',
]

const show = (
  terminal: Terminal,
  { session, template, key, state, since, until, url, users, node, end }: View,
): string =>
  facts(terminal, [
    ['session', session],
    ['template', template],
    ['key', key?.name],
    ['namespace', key?.namespace || undefined],
    ['tag', key?.tag],
    ['state', `${state} since ${since}`],
    ['ended', end === null ? undefined : `${end.reason}, ${end.kind}, at ${end.at}`],
    ['exit code', end?.exitCode?.toString()],
    ['detail', end?.detail],
    ['ends at', until ?? undefined],
    ['url', url || undefined],
    ['users', users.join(' ') || undefined],
    ['node', node ?? undefined],
  ])
