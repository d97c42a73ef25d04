import { resolve } from 'node:path'
import type { Command } from 'commander'
import { ShadowError } from '../lib/errors.ts'
import { readSettings, url } from '../lib/settings.ts'
import type { MemberRole } from '../model/member.ts'
import { duration, toMs } from '../model/quantities.ts'
import { type CallFlags, callsMaster, withExamples } from './command-options.ts'
import { cliSettings } from './config.ts'
import { print } from './print.ts'
import { findTarget } from './target.ts'
import type { Terminal } from './terminal.ts'

type TokenFlags = CallFlags & { readonly for: string }
type JoinFlags = { readonly token?: string; readonly master?: string; readonly data?: string; readonly json?: true }

const DATA = '/var/lib/shadow'
const DAEMON = { node: 'nodeproxy', proxy: 'proxy' } as const
const WHAT = { node: 'a node', proxy: 'a front' } as const

/** Adds the verbs by which machines of this role join a cluster: `token` for its admin, and `join` for the machine. */
export function joinCommands(command: Command, role: MemberRole, terminal: Terminal): void {
  const token = command
    .command('token')
    .description(`make a token with which one machine joins the cluster as ${WHAT[role]} of this name`)
    .argument('<name>', 'name of the machine in the cluster: a DNS label; it replaces a machine that has joined by it')
    .option('--for <duration>', 'how long the token may be used', '1h')
  callsMaster(token, `shadow ${role} token ${role === 'node' ? 'node-2' : 'front-1'}`).action(
    async (name: string, flags: TokenFlags) => {
      const { master } = await findTarget(terminal, flags)
      const forMs = toMs(duration(flags.for))
      const made = await master.call('createJoinToken', { body: { role, name, forMs } })
      print(terminal, flags.json, made, () => `${made.token}\n`)
      terminal.err(`it is good once, until ${made.until}: shadow ${role} join --token TOKEN\n`)
    },
  )

  const join = command
    .command('join')
    .description(`make this machine ${WHAT[role]} of a cluster`)
    .option(
      '--token <token>',
      `token of shadow ${role} token; left out: SHADOW_JOIN_TOKEN, which other users cannot see`,
    )
    .option('--master <url>', 'URL of the masters; left out: the one in the token')
    .option('--data <folder>', `data folder; left out: SHADOW_DATA, or ${DATA}`, folder => resolve(folder))
    .option('--json', 'print JSON')
  withExamples(join, `shadow ${role} join --token shadowjoin1.…`).action(async (flags: JoinFlags) => {
    const settings = readSettings(cliSettings, terminal.env)
    const text = flags.token ?? settings.joinToken
    if (text === undefined)
      throw new ShadowError('bad-input', 'no token was given: --token, or SHADOW_JOIN_TOKEN', {
        hint: `on a machine with the CLI of the cluster: shadow ${role} token NAME`,
      })
    const [{ joinToken }, { joinCluster }, { ownDataFolder }, { lockFolder }, { systemClock }] = await Promise.all([
      import('../api/join-token.ts'),
      import('../api/join.ts'),
      import('../lib/data-folder.ts'),
      import('../lib/files.ts'),
      import('../lib/clock.ts'),
    ])
    const token = joinToken(text)
    const master = flags.master === undefined ? undefined : url(flags.master)
    const data = flags.data ?? settings.data ?? DATA
    const folder = `${data}/${role}`
    await ownDataFolder(data)
    using _lock = await lockFolder(folder)
    const { member, master: at, file } = await joinCluster({ token, master, role, folder, clock: systemClock })
    print(terminal, flags.json, { role, name: member.name, master: at, file }, () => '')
    const where = flags.data === undefined ? '' : ` --data ${flags.data}`
    terminal.err(`this machine is ${member.name} of the cluster at ${at}; start it: shadow ${DAEMON[role]}${where}\n`)
  })
}
