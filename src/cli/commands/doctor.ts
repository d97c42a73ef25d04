import { type Command, Option } from 'commander'
import { isFailure } from '../../lib/errors.ts'
import { CommandExit } from '../command-exit.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import type { Check, Finding } from '../doctor/finding.ts'
import { runChecks } from '../doctor/run-checks.ts'
import { type DoctorRole, ROLES, thisMachine } from '../doctor/this-machine.ts'
import { print } from '../print.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import { paint, type Terminal } from '../terminal.ts'

type Flags = CallFlags & {
  readonly machine?: true
  readonly cluster?: true
  readonly data?: string
  readonly role?: DoctorRole
  readonly quiet?: true
}

/** The exit code where there is a problem; warnings do not count. */
const HAS_PROBLEMS = 1
const CALL_WITHIN_MS = 10_000

export function define(command: Command, terminal: Terminal): void {
  command
    .option('--machine', 'look at this machine alone; it needs no master')
    .option('--cluster', 'look at what a master knows alone: nodes, apps, volumes, backups, hostnames')
    .option('--data <folder>', 'data folder of this machine; left out: SHADOW_DATA, or /var/lib/shadow for root')
    .addOption(
      new Option('--role <role>', 'what runs on this machine; left out: as its data folder says').choices(ROLES),
    )
    .option('-q, --quiet', 'print only what is wrong')
    .addHelpText(
      'after',
      `
It looks at this machine, whether Shadow runs on it or not, and, where a master is known (as for any other command), at the cluster. It changes
nothing, and wakes no app. Settings are read from the environment as the daemons read them: for those of a service, first
set -a; . /etc/default/shadow. The exit code is 1 if there is a problem, and 0 if there are warnings alone.`,
    )
    .action(async (flags: Flags) => {
      const checks = [...(await ofMachine(terminal, flags)), ...(await ofCluster(terminal, flags))]
      const findings = await whileShown(terminal, `${checks.length} checks`, () => runChecks(checks))
      const problems = findings.filter(({ level }) => level === 'problem')
      const document = { ok: problems.length === 0, findings }
      print(terminal, flags.json, document, () => show(terminal, findings, flags.quiet === true))
      if (problems.length > 0) throw new CommandExit(HAS_PROBLEMS)
    })
  callsMaster(command, 'sudo shadow doctor', 'shadow doctor --machine --data ./data', 'shadow doctor --cluster --quiet')
}

async function ofMachine({ env, now }: Terminal, flags: Flags): Promise<readonly Check[]> {
  // Whoever calls a master elsewhere looks at that, and not at a laptop.
  const isElsewhere = flags.context !== undefined || env['SHADOW_URL'] !== undefined
  if (flags.machine !== true && (flags.cluster === true || (isElsewhere && flags.data === undefined))) return []
  return thisMachine(env, { data: flags.data, role: flags.role, now })
}

async function ofCluster(terminal: Terminal, flags: Flags): Promise<readonly Check[]> {
  if (flags.machine === true && flags.cluster !== true) return []
  try {
    const { master, url } = await findTarget(terminal, flags, CALL_WITHIN_MS)
    const { clusterChecks } = await import('../doctor/cluster.ts')
    return clusterChecks({ master, url, now: terminal.now })
  } catch (error) {
    // A machine on which Shadow was never started has no master, and that is no fault.
    if (isFailure(error, 'master-unreachable') && flags.cluster !== true && flags.context === undefined) return []
    return [{ name: 'context', run: async () => Promise.reject(error) }]
  }
}

const SIGNS = { ok: ['green', 'ok'], warning: ['yellow', 'warning'], problem: ['red', 'problem'] } as const

function show(terminal: Terminal, findings: readonly Finding[], isQuiet: boolean): string {
  const shown = findings.filter(({ level }) => !isQuiet || level !== 'ok')
  const lines = shown.map(({ level, check, what, where, value, mend }) => {
    const [style, sign] = SIGNS[level]
    const first = `${paint(terminal, style, sign.padEnd(8))} ${check}: ${what}: ${value} (${where})\n`
    return mend === undefined ? first : `${first}         ${paint(terminal, 'dim', 'mend:')} ${mend}\n`
  })
  const count = (level: Finding['level'], one: string): string => {
    const number = findings.filter(finding => finding.level === level).length
    return `${number === 0 ? 'no' : number} ${one}${number === 1 ? '' : 's'}`
  }
  return `${lines.join('')}${findings.length} findings: ${count('problem', 'problem')}, ${count('warning', 'warning')}\n`
}
