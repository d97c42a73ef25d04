import { type Command, Option } from 'commander'
import { type Fault, ShadowError } from '../lib/errors.ts'
import { SESSION_POLICIES } from '../model/deploy.ts'
import { type IdleCheck, idleCheck, idleCommand } from '../model/idle-check.ts'
import { KEEP_TIERS } from '../model/instance.ts'
import { TASK_DEFAULTS, VOLUME_DRIVERS, VOLUME_DRIVERS_SAID, WEB_SOCKET_POLICIES } from '../model/task.ts'
import { collect, parsedFlag } from './command-options.ts'
import { readEnvFile } from './env-file.ts'
import type { Terminal } from './terminal.ts'

/** Flags of `register` and `update` as commander gives them. */
export type DefinitionFlags = {
  readonly image?: string
  readonly domain?: readonly string[]
  /** false: `--no-volume`. */
  readonly volume?: string | false
  readonly volumeDriver?: string
  readonly idleAfter?: string
  readonly freezeAfter?: string
  readonly suspendAfter?: string
  readonly keep?: string
  readonly detachAfter?: string
  readonly grace?: string
  readonly wakes?: string
  readonly drain?: string
  readonly ws?: string
  readonly idleCheck?: string
  readonly idleCheckCommand?: string
  readonly sleepCpu?: string
  readonly sleepDryRun?: string
  readonly sessions?: string
  readonly env?: readonly string[]
  readonly envFile?: readonly string[]
  readonly unsetEnv?: readonly string[]
  readonly port?: string
  readonly memory?: string
  readonly cpus?: string
  readonly pids?: string
  readonly egress?: readonly string[]
  readonly disk?: string
  readonly shm?: string
  readonly reserve?: string
  readonly ready?: string
  readonly startWithin?: string
  /** false: `--no-command`. */
  readonly command?: false
}

/** Adds the flags that say how to run an app. */
export function definitionOptions(command: Command): Command {
  return command
    .option('--domain <hostname>', 'a hostname of the app; may be repeated', collect)
    .option('--volume <size[:path]>', 'block storage that stays when the app sleeps: 1GiB, 1GiB:/var/lib/app')
    .addOption(
      new Option(
        '--volume-driver <driver>',
        `where the bytes of its volume are: ${VOLUME_DRIVERS_SAID}; default: ${TASK_DEFAULTS.volumeDriver}`,
      ).choices(VOLUME_DRIVERS),
    )
    .option('--idle-after <duration>', 'sleep this long after the last request: 90s, 5m, never')
    .option(
      '--freeze-after <duration>',
      'freeze it this long after the last request, until it sleeps: 30s, 5m, never; default: SHADOW_FREEZE_AFTER of its node',
    )
    .option(
      '--suspend-after <duration>',
      'move the memory of the frozen app to swap this long after the last request: 10m, never; default: SHADOW_SUSPEND_AFTER of its node',
    )
    .addOption(
      new Option(
        '--keep <tier>',
        'the lowest tier that it goes to for want of use: frozen and suspended keep its memory after the idle time, until its node needs it; default: SHADOW_KEEP of its node',
      ).choices([...KEEP_TIERS, 'default']),
    )
    .option(
      '--detach-after <duration>',
      'keep its disk of a cloud attached for this long after it fell asleep: 10m; default: SHADOW_DETACH_AFTER of its node',
    )
    .option('--idle-check <how>', 'asked before it sleeps: http:/path (2xx is idle, 409 and 503 are at work), none')
    .option(
      '--idle-check-command <line>',
      'run in its container before it sleeps, by sh: exit code 0 is idle, others are at work',
    )
    .option('--sleep-cpu <percent>', 'it is at work while it uses more of its processors than this: 5; none')
    .addOption(
      new Option(
        '--sleep-dry-run <how>',
        'on: it does not sleep, and its log and shadow why tell when it would have; default: SHADOW_SLEEP_DRY_RUN of its node',
      ).choices(['on', 'off', 'default']),
    )
    .option('--env <k=v>', 'a variable of its environment; may be repeated', collect)
    .option(
      '--env-file <file>',
      'variables from a file, by the rules of Docker: lines K=V; a bare K takes its value from the environment of this command; may be repeated',
      collect,
    )
    .option('--port <port>', 'port that the app listens on')
    .option('--memory <size>', 'most memory it may use: 512MiB')
    .option('--reserve <size>', 'memory that must be free to wake it; left out: as much as --memory')
    .option('--disk <size>', 'most that it may write outside of its volume; default: 1GiB')
    .option('--shm <size>', `size of /dev/shm, which counts as memory; default: ${TASK_DEFAULTS.shm}`)
    .option('--cpus <number>', 'most processors it may use: 0.5')
    .option('--pids <number>', 'most processes it may have')
    .option(
      '--egress <what>',
      'what it may reach besides the internet: private, host:PORT, 10.0.0.5:5432; api.example.com, *.example.com:8443: of the internet, these domains alone; none: nothing of it; internet: the default again; may be repeated',
      collect,
    )
    .option('--ready <how>', 'when it is ready: port, http:/path, log:REGEX (RE2), healthcheck (of its image), started')
    .option('--start-within <duration>', 'how long a start may take')
    .option('--drain <duration>', 'how long requests in flight may go on when it is stopped while it is in use')
    .option('--grace <duration>', 'time from SIGTERM to SIGKILL')
    .addOption(
      new Option(
        '--ws <policy>',
        'what an open WebSocket does: hold keeps it awake, ignore neither keeps it awake nor wakes it, wake wakes it only',
      ).choices(WEB_SOCKET_POLICIES),
    )
    .addOption(
      new Option(
        '--sessions <policy>',
        'what becomes of open sessions when a newer release serves: move: they go to it, stay: each stays on the release that it began with',
      ).choices(SESSION_POLICIES),
    )
    .option('--wakes <number>', `how many times a minute requests may wake it; default: ${TASK_DEFAULTS.wakes}`)
}

/**
 * The flags as a JSON merge patch of a definition, without the fields that were not given. The master checks sizes, durations and
 * names. Only flags that cannot be expressed in the document are refused here: `bad-input` names all of them.
 */
export async function toPatch(
  flags: DefinitionFlags,
  words: readonly string[],
  terminal: Pick<Terminal, 'env' | 'err'>,
): Promise<Record<string, unknown>> {
  const faults: Fault[] = []
  const number = (flag: string, value: string | undefined): number | undefined => {
    if (value === undefined) return undefined
    if (value.trim() !== '' && Number.isFinite(Number(value))) return Number(value)
    faults.push({ field: flag, message: `"${value}" is not a number` })
    return undefined
  }
  const patch = pruned({
    image: flags.image,
    command: words.length > 0 ? words : flags.command === false ? null : undefined,
    domains: flags.domain,
    env: await environment(flags, terminal, faults),
    port: number('--port', flags.port),
    volume: volume(flags.volume, flags.volumeDriver),
    limits: {
      memory: flags.memory,
      reserve: flags.reserve,
      disk: flags.disk,
      shm: flags.shm,
      cpus: number('--cpus', flags.cpus),
      pids: number('--pids', flags.pids),
    },
    egress: flags.egress,
    ready: readiness(flags.ready, faults),
    startWithin: flags.startWithin,
    sleep: {
      idleAfter: flags.idleAfter,
      freezeAfter: flags.freezeAfter === 'default' ? null : flags.freezeAfter,
      suspendAfter: flags.suspendAfter === 'default' ? null : flags.suspendAfter,
      keep: flags.keep === 'default' ? null : flags.keep,
      detachAfter: flags.detachAfter === 'default' ? null : flags.detachAfter,
      drain: flags.drain,
      grace: flags.grace,
      webSockets: flags.ws,
      wakes: number('--wakes', flags.wakes),
      ...atWork(flags, faults),
    },
    deploy: { sessions: flags.sessions },
  })
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  return patch
}

function volume(flag: string | false | undefined, driver: string | undefined): unknown {
  if (flag === undefined) return driver && { driver }
  if (flag === false) return null
  const colon = flag.indexOf(':')
  const given = colon < 0 ? { size: flag } : { size: flag.slice(0, colon), path: flag.slice(colon + 1) }
  return { ...given, driver }
}

/** How an app that nobody uses is found to be at work. */
function atWork(flags: DefinitionFlags, faults: Fault[]): object {
  const { sleepCpu, sleepDryRun } = flags
  const percent = /^(\d+(?:\.\d+)?) *%?$/.exec(sleepCpu ?? '')?.[1]
  if (sleepCpu !== undefined && sleepCpu !== 'none' && percent === undefined)
    faults.push({ field: '--sleep-cpu', message: `"${sleepCpu}" is not a number of percent` })
  return {
    idleCheck: checkOf(flags, faults),
    cpu: sleepCpu === 'none' ? null : percent === undefined ? undefined : Number(percent),
    dryRun: sleepDryRun === 'default' ? null : sleepDryRun === undefined ? undefined : sleepDryRun === 'on',
  }
}

/** The idle check as part of a merge patch, which takes away the fields of a check of another kind. */
function checkOf({ idleCheck: how, idleCheckCommand: line }: DefinitionFlags, faults: Fault[]): unknown {
  if (how !== undefined && line !== undefined) {
    faults.push({ field: '--idle-check-command', message: 'cannot be given beside --idle-check' })
    return undefined
  }
  if (how === 'none') return null
  const check: IdleCheck | undefined =
    line !== undefined
      ? parsedFlag('--idle-check-command', idleCommand, line, faults)
      : how === undefined
        ? undefined
        : parsedFlag('--idle-check', idleCheck, how, faults)
  return check && { path: null, command: null, ...check }
}

/** The readiness that a text such as `http:/health` names, as part of a merge patch. */
export function readiness(flag: string | undefined, faults: Fault[]): unknown {
  if (flag === undefined) return undefined
  if (flag === 'port' || flag === 'healthcheck' || flag === 'started') return { kind: flag, path: null, line: null }
  if (flag.startsWith('http:')) return { kind: 'http', path: flag.slice(5), line: null }
  if (flag.startsWith('log:')) return { kind: 'log', line: flag.slice(4), path: null }
  faults.push({ field: '--ready', message: `"${flag}" is none of port, http:/path, log:REGEX, healthcheck, started` })
  return undefined
}

// Files first, then --env over them, then --unset-env.
async function environment(
  flags: DefinitionFlags,
  terminal: Pick<Terminal, 'env' | 'err'>,
  faults: Fault[],
): Promise<Record<string, string | null>> {
  const env = new Map<string, string | null>()
  for (const file of flags.envFile ?? []) {
    const read = await readEnvFile(file, terminal.env)
    for (const [name, value] of read.variables) env.set(name, value)
    faults.push(...read.faults)
    for (const note of read.notes) terminal.err(`${note}\n`)
  }
  for (const pair of flags.env ?? []) {
    const equals = pair.indexOf('=')
    if (equals > 0) env.set(pair.slice(0, equals), pair.slice(equals + 1))
    // The value may be a secret, so the message does not repeat it.
    else faults.push({ field: '--env', message: `"${equals < 0 ? pair : '=…'}" is not K=V` })
  }
  for (const name of flags.unsetEnv ?? []) env.set(name, null)
  return Object.fromEntries(env) // fromEntries defines keys, so that "__proto__" is an ordinary one
}

// Removes undefined fields, and groups that have no field left: a field in the patch would change the definition.
function pruned(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([name, one]) => (isGroup(one) ? [name, pruned(one)] : [name, one]))
      .filter(([, one]) => !isGroup(one) || Object.keys(one).length > 0),
  )
}

const isGroup = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The patch as a new document: fields that the patch would remove are left out. */
export function withoutNulls(patch: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(patch)
      .filter(([, one]) => one !== null)
      .map(([name, one]) => [name, isGroup(one) ? withoutNulls(one) : one]),
  )
}
