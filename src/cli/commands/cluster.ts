import { type Command, Option } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { readSettings, url } from '../../lib/settings.ts'
import { MEMBER_ROLES, type MemberRole } from '../../model/member.ts'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags, withExamples } from '../command-options.ts'
import { facts, print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type InitFlags = { readonly url: string; readonly data?: string; readonly json?: true }

export function define(command: Command, terminal: Terminal): void {
  const init = command
    .command('init')
    .description(
      "make the cluster's CA in the store of this machine's master; run it once, while shadow up does not run",
    )
    .requiredOption('--url <url>', 'where machines and the CLI reach the masters: https://HOST:8080')
    .option('--data <folder>', 'data folder of the master; left out: SHADOW_DATA, or /var/lib/shadow')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nThe settings are those of shadow master: shadow help settings')
  withExamples(init, 'shadow cluster init --url https://10.0.0.1:8080').action(async (flags: InitFlags) => {
    const at = url(flags.url)
    if (!at.startsWith('https://'))
      throw new ShadowError('bad-input', `--url is ${at}; masters of a cluster have an https:// URL`)
    const [{ masterSettings }, { initClusterOf }, { systemClock }, { noLog }] = await Promise.all([
      import('../../master/config.ts'),
      import('../../master/cluster/init.ts'),
      import('../../lib/clock.ts'),
      import('../../lib/log.ts'),
    ])
    const config = readSettings(masterSettings, terminal.env, { data: flags.data })
    const { ca, caHash } = await initClusterOf(config, { url: at, clock: systemClock, log: noLog })
    print(terminal, flags.json, { url: at, caHash, ca }, () =>
      facts(terminal, [
        ['url', at],
        ['ca hash', caHash],
      ]),
    )
    terminal.err(
      'start the masters of this store (again): shadow master\nthen let machines join: shadow node token NAME, shadow proxy token NAME\n',
    )
  })

  const show = command.command('show').description('show the URL of the masters, and the hash of the CA')
  callsMaster(show, 'shadow cluster show').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { certificateHash } = await import('../../api/join-token.ts')
    const cluster = await master.call('getCluster', {})
    const caHash = certificateHash(cluster.ca)
    print(terminal, flags.json, { ...cluster, caHash }, ({ url, createdAt }) =>
      facts(terminal, [
        ['url', url],
        ['ca hash', caHash],
        ['made', createdAt],
      ]),
    )
  })

  const ca = command.command('ca').description('print the certificate of the CA (PEM), for shadow context add --ca')
  callsMaster(ca, 'shadow cluster ca >ca.pem').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const cluster = await master.call('getCluster', {})
    print(terminal, flags.json, { ca: cluster.ca }, () => cluster.ca)
  })

  const members = command.command('members').description('list the machines that have joined')
  callsMaster(members, 'shadow cluster members').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items } = await master.call('listMembers', {})
    print(terminal, flags.json, { members: items }, () =>
      table(
        terminal,
        ['ROLE', 'NAME', 'JOINED', 'CERTIFICATE UNTIL'],
        items.map(({ role, name, joinedAt, until }) => [role, name, joinedAt, until]),
      ),
    )
  })

  const rm = command
    .command('rm')
    .description('remove a machine: its certificate opens nothing any more')
    .argument('<name>')
  rm.addOption(new Option('--role <role>', 'node, or proxy for a front').choices(MEMBER_ROLES).makeOptionMandatory())
  rm.option(...DRY_RUN)
  callsMaster(rm, 'shadow cluster rm node-2 --role node').action(
    async (name: string, flags: CallFlags & DryRunFlags & { role: MemberRole }) => {
      const { master } = await findTarget(terminal, flags)
      if (flags.dryRun) {
        const { items } = await master.call('listMembers', {})
        const member = items.find(one => one.name === name && one.role === flags.role)
        if (member === undefined)
          throw new ShadowError('not-found', `no ${flags.role} ${name} has joined`, { hint: 'shadow cluster members' })
        print(terminal, flags.json, { dryRun: true, removes: member }, () => '')
        terminal.err(`would remove the ${flags.role} ${name} from the cluster; nothing was done\n`)
        return
      }
      await master.call('removeMember', { params: { role: flags.role, name } })
      print(terminal, flags.json, { removed: name, role: flags.role }, () => '')
      terminal.err(`the ${flags.role} ${name} is removed from the cluster\n`)
    },
  )
}
