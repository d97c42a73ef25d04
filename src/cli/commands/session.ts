import type { Command } from 'commander'
import type { z } from 'zod'
import type { SessionViewSchema } from '../../api/session-schemas.ts'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import { labels } from '../../model/labels.ts'
import { duration, sayMs, size } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, collect, parsedFlag } from '../command-options.ts'
import { type DefinitionFlags, toPatch, withoutNulls } from '../definition-flags.ts'
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
  readonly memory?: string
  readonly cpus?: string
  readonly pool?: string
  readonly image?: string
  readonly command?: string
  readonly port?: string
  readonly ready?: string
  readonly volume?: string
  readonly egress?: readonly string[]
  readonly ports?: string
}

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('connect')
      .description('get the session with a key, or make one; prints its URL')
      .argument('[template]', 'the template; left out: --image says what the session is made from')
      .option('--image <image>', 'makes the session from this image, without a template')
      .option('--command <line>', 'with --image: a line for sh, in place of the command of the image')
      .option('--port <port>', 'with --image: the port that it listens on')
      .option('--ready <how>', 'with --image: port, http:/path, log:REGEX, healthcheck, started')
      .option('--volume <size[:path]>', 'with --image: block storage, which belongs to the key')
      .option('--egress <what>', 'with --image: what it may reach, as of shadow register; may be repeated', collect)
      .option('--ports <which>', 'with --image: main or all, the ports that have a hostname')
      .option('--key <key>', 'what it is asked for by; left out: a new session')
      .option('--namespace <name>', 'keys of different namespaces are different keys')
      .option('--tag <tag>', 'a session that lives with the key and another tag is a conflict')
      .option('--env <name=value>', 'a variable of a new session, beside those of the template', collect)
      .option('--lifetime <time>', 'how long a new session lives at most')
      .option('--idle <time>', 'how long nobody may use it')
      .option('--memory <size>', 'most memory of a new session; not above that of the template')
      .option('--cpus <number>', 'most processors of a new session; not above those of the template')
      .option('--pool <labels>', 'labels that the node of a new session must have: disk=ssd,zone=eu-1')
      .option('--user <name>', 'told to the app with each request by the token')
      .option('--token-lifetime <time>', 'how long the token counts')
      .action(async (template: string | undefined, flags: ConnectFlags) => {
        if (template === undefined && flags.image === undefined)
          throw new ShadowError('bad-input', 'neither a template nor an image is named', {
            hint: 'shadow session connect TEMPLATE; shadow session connect --image IMAGE',
          })
        const { master } = await findTarget(terminal, flags)
        const { signal } = new AbortController() // it waits for a session that is ending
        const { spawn, ...rest } = connectBody(flags)
        const ofImage = await imageSettings(flags, terminal)
        const body = { ...(template !== undefined && { template }), ...rest, spawn: { ...spawn, ...ofImage } }
        const got = await whileShown(terminal, `connecting to ${template ?? flags.image}`, () =>
          master.call('connectSession', { body, signal }),
        )
        print(terminal, flags.json, got, () => `${got.url}\n`)
        if (flags.json !== true) terminal.err(`${got.session} is ${got.state}${got.spawned ? ', and is new' : ''}\n`)
      }),
    'shadow session connect editor --key notes.md --user ann',
    "shadow session connect --image python:3 --command 'python -m http.server' --port 8000 --key scratch",
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
  const memory = flags.memory === undefined ? undefined : parsedFlag('--memory', size, flags.memory, faults)
  const cpus = flags.cpus === undefined ? undefined : parsedFlag('--cpus', positive, flags.cpus, faults)
  const pool = flags.pool === undefined ? undefined : parsedFlag('--pool', labels, flags.pool, faults)
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
    spawn: {
      env: Object.fromEntries(pairs),
      ...(lifetime && { lifetime }),
      ...(idle && { idle }),
      ...((memory || cpus) && { limits: { ...(memory && { memory }), ...(cpus && { cpus }) } }),
      ...(pool && { pool }),
    },
    ...(user !== undefined && { user }),
    ...(tokenLifetime && { tokenLifetime }),
  }
}

/** What a session of an image is, as the flags of a template would say it. */
async function imageSettings(flags: ConnectFlags, terminal: Terminal): Promise<object> {
  const { image, command, port, ready, volume, egress, ports } = flags
  if (image === undefined && [command, port, ready, volume, egress, ports].every(one => one === undefined)) return {}
  const given = { image, port, ready, volume, egress } as DefinitionFlags
  const words = command === undefined ? [] : ['sh', '-c', command]
  return { ...withoutNulls(await toPatch(given, words, terminal)), ...(ports !== undefined && { ports }) }
}

function positive(text: string): number {
  const number = Number(text)
  if (number > 0) return number
  throw new ShadowError('bad-input', `"${text}" is not a number above 0`)
}

const HEAD = ['SESSION', 'KEY', 'STATE', 'FOR', 'NODE', 'ENDS-IN', 'USERS']

const row = ({ session, key, state, warm, since, node, until, users }: View, now: number): string[] => [
  session,
  key?.name ?? '-',
  warm && state === 'ready' ? 'warm' : state,
  sayMs(Math.max(0, now - Date.parse(since))),
  node ?? '-',
  until === null ? '-' : sayMs(Math.max(0, Date.parse(until) - now)),
  users.join(' ') || '-',
]

const show = (
  terminal: Terminal,
  { session, template, key, state, warm, since, until, url, users, node, end }: View,
): string =>
  facts(terminal, [
    ['session', session],
    ['template', template],
    ['key', key?.name],
    ['namespace', key?.namespace || undefined],
    ['tag', key?.tag],
    ['state', `${state} since ${since}`],
    ['warm', warm ? 'it was started ahead of time, and is nobody’s yet' : undefined],
    ['ended', end === null ? undefined : `${end.reason}, ${end.kind}, at ${end.at}`],
    ['exit code', end?.exitCode?.toString()],
    ['detail', end?.detail],
    ['ends at', until ?? undefined],
    ['url', url || undefined],
    ['users', users.join(' ') || undefined],
    ['node', node ?? undefined],
  ])
