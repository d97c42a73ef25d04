import type { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { budgetNow } from '../model/budget.ts'
import type { InstanceView, StopReason } from '../model/instance.ts'
import type { NodeName } from '../model/names.ts'
import { sayPause } from '../model/pause.ts'
import { type Placement, sayRejected } from '../model/placement.ts'
import { sayBytes, sayMs } from '../model/quantities.ts'
import { NEVER_SLEEPS, sayStopped } from '../model/say-stopped.ts'
import { sayUse } from '../model/say-use.ts'
import { TASK_DEFAULTS } from '../model/task.ts'
import { badConnection, sayCompanions } from './explain-companions.ts'
import { sayRefusedNames } from './explain-egress.ts'
import { explainReleases } from './explain-releases.ts'
import { sayDrySleeps, sayNotWoken } from './explain-wakes.ts'
import { saySteps } from './steps.ts'

/** Explains the state of the app in sentences: what woke it, what keeps it awake, when it sleeps; or why it does not run. */
export function explain(
  app: App,
  instance: InstanceView | undefined,
  urls: readonly string[],
  now: number,
  placement?: Placement<NodeName>,
): readonly string[] {
  const budget = budgetNow(app.budget, now)
  const wakesAgain =
    app.paused !== undefined
      ? `Nothing wakes it: it is ${sayPause(app.paused)} (shadow resume ${app.name}).`
      : budget?.state === 'spent'
        ? `Nothing wakes it before ${budget.until}, since ${budget.why} is spent (shadow budget).`
        : urls.length > 0
          ? `The next request to ${urls[0]} wakes it.`
          : 'It has no domain: shadow wake wakes it.'
  if (instance === undefined)
    return [`${app.name} is asleep: nobody has used it yet.`, ...whereNext(app, placement), wakesAgain]
  const ago = sayMs(Math.max(0, now - Date.parse(instance.since)))
  const state = `${app.name} is ${instance.phase} on ${instance.node} since ${instance.since} (${ago}).`
  switch (instance.phase) {
    case 'awake':
      return [
        state,
        ...rejected(instance),
        ...explainReleases(instance, now),
        ...awake(app, instance, now),
        ...sayDrySleeps(instance),
        ...memoryKill(app, instance),
        ...refusedConnections(app, instance),
        ...sayRefusedNames(app, instance),
        ...refusedWakes(app, instance),
        ...sayNotWoken(instance),
        ...badAnswer(instance),
        ...badConnection(instance),
        ...sayCompanions(app, instance),
        ...fullVolume(app, instance),
      ]
    case 'frozen':
    case 'suspended':
      return [
        state,
        `Nobody uses it: its processes are stopped where they are, and ${instance.phase === 'frozen' ? 'keep their memory' : 'their memory is in the swap of its machine'}.`,
        ...(instance.frozenBy === 'memory' ? ['Its machine was short of memory.'] : []),
        ...staysOrSleeps(app, instance),
        ...sayNotWoken(instance),
        wakesAgain.replace(' wakes it', ' lets it go on'),
      ]
    case 'asleep':
      return [
        state,
        ...(instance.parked === true ? ['It is parked: a container waits for its next wake.'] : []),
        ...rejected(instance),
        ...atRest(app, instance),
        ...memoryKill(app, instance),
        ...refusedWakes(app, instance),
        ...sayNotWoken(instance),
        ...badAnswer(instance),
        ...badConnection(instance),
        ...sayCompanions(app, instance),
        ...fullVolume(app, instance),
        ...whereNext(app, placement),
        wakesAgain,
      ]
    case 'waking':
      return [state, ...woken(instance), `${count(instance.waiting, 'request')} for it.`]
    case 'stopping':
      return [
        state,
        ...stopped(app, instance.stoppedBy),
        app.paused === undefined ? 'A request that comes now waits, and wakes it again.' : wakesAgain,
      ]
    case 'crashed':
      return [
        state,
        ...problem(instance),
        ...memoryKill(app, instance),
        ...badAnswer(instance),
        ...fullVolume(app, instance),
        ...crashed(instance, now),
      ]
    case 'stuck':
      return [
        state,
        `It still holds ${instance.held.join(', ')}.`,
        ...problem(instance),
        'The next wake or shadow sleep tries again to let go of it.',
      ]
  }
}

/** What a frozen app waits for. */
function staysOrSleeps({ task }: App, { sleepsAt }: InstanceView): readonly string[] {
  if (sleepsAt !== null) return [`It sleeps at ${sleepsAt}, if nothing comes.`]
  return task.sleep.idleAfter === 'never' ? [] : ['It stays so until its node needs its memory (--keep).']
}

/** Why an earlier revision runs in place of the current one. */
const rejected = ({ app, rejected }: InstanceView): readonly string[] =>
  rejected == null
    ? []
    : [
        `Its revision ${rejected.revision} is not taken, the last one that was ready runs in its place: ${rejected.problem.detail}`,
        `shadow wake ${app} tries it again.`,
      ]

function awake(app: App, instance: InstanceView, now: number): readonly string[] {
  const { idleAfter, keep = 'asleep' } = app.task.sleep
  const sentences = [...woken(instance), ...kept(instance, now)]
  if (instance.lastWake !== null) sentences.push(`That wake took ${saySteps(instance.lastWake)}.`)
  const keeping = instance.holds.filter(({ isIgnored }) => isIgnored !== true)
  const ignored = instance.holds.length - keeping.length
  if (keeping.length > 0) {
    sentences.push(`${count(keeping.length, 'hold')} it awake:`)
    for (const { kind, what, since, until } of keeping) {
      const words = kind === 'busy' ? `busy, as the app says: ${JSON.stringify(what)}` : sayUse({ kind, what })
      const end = until === undefined ? '' : `, until ${until} at most`
      sentences.push(`  ${words}, for ${sayMs(Math.max(0, now - Date.parse(since)))}${end}`)
    }
    const then = keep === 'asleep' ? 'It sleeps' : `It is ${keep}, and stays so,`
    sentences.push(idleAfter === 'never' ? NEVER_SLEEPS : `${then} ${idleAfter} after the last of them has ended.`)
  } else if (instance.atWork !== undefined) {
    sentences.push(
      `Nobody uses it, and it is at work: ${instance.atWork.why}. It is asked again at ${instance.sleepsAt ?? 'once'}.`,
    )
  } else if (instance.sleepsAt !== null) {
    const left = sayMs(Math.max(0, Date.parse(instance.sleepsAt) - now))
    if (instance.freezesAt !== undefined)
      sentences.push(`It is frozen before it sleeps, at ${instance.freezesAt}, if nothing comes.`)
    sentences.push(`Nobody uses it: it sleeps in ${left}, at ${instance.sleepsAt}, if nothing comes.`)
  } else if (instance.freezesAt !== undefined) {
    sentences.push(`Nobody uses it: it is frozen at ${instance.freezesAt}, if nothing comes, and stays so.`)
  } else if (idleAfter === 'never') sentences.push(NEVER_SLEEPS)
  if (ignored > 0)
    sentences.push(`WebSockets that are open and do not keep it awake: ${ignored} (--ws ${app.task.sleep.webSockets}).`)
  return sentences
}

const kept = ({ kept }: InstanceView, now: number): readonly string[] =>
  kept === undefined || Date.parse(kept.until) <= now ? [] : [`It is kept awake: ${kept.why}.`]

const NEARLY_FULL = 0.9

function fullVolume({ name }: App, { volume }: InstanceView): readonly string[] {
  if (volume === undefined || volume.usedBytes < NEARLY_FULL * volume.sizeBytes) return []
  const [used, size] = [sayBytes(volume.usedBytes), sayBytes(volume.sizeBytes)]
  const full = Math.floor((100 * volume.usedBytes) / volume.sizeBytes)
  return [`Its volume is ${full} % full: ${used} of ${size}. A larger one: shadow update ${name} --volume SIZE.`]
}

const woken = ({ wokenBy }: InstanceView): string[] => (wokenBy === null ? [] : [`It was woken by ${wokenBy}.`])

const count = (number: number, what: 'request' | 'hold'): string => {
  if (what === 'request') return number === 1 ? '1 request waits' : `${number} requests wait`
  return number === 1 ? '1 use keeps' : `${number} uses keep`
}

const stopped = (app: App, by: StopReason | null): readonly string[] => [sayStopped(by, app.task.sleep.idleAfter)]

function refusedWakes({ task }: App, { refusedWakes: last }: InstanceView): readonly string[] {
  if (!last) return []
  const most = `requests may wake it ${task.sleep.wakes ?? TASK_DEFAULTS.wakes} times a minute (--wakes)`
  return [`Wakes that were refused: ${last.count}, the last at ${last.at}; ${most}.`]
}

/** Why the app sleeps, or why its last wake failed where that was not the app's fault. */
const atRest = (app: App, instance: InstanceView): readonly string[] =>
  instance.problem === null
    ? stopped(app, instance.stoppedBy)
    : [
        `Its last wake failed: ${instance.problem.detail}`,
        ...(instance.problem.hint ? [`To mend it: ${instance.problem.hint}`] : []),
      ]

function memoryKill(app: App, { memoryKill: last }: InstanceView): readonly string[] {
  if (!last) return []
  const often =
    last.count === 1 ? 'A process of it was killed' : `${last.count} times a process of it was killed, the last`
  return [
    `${often} at ${last.at}, because it used more than its ${app.task.limits.memory} of memory: shadow update ${app.name} --memory SIZE.`,
  ]
}

function refusedConnections(app: App, { refusedConnections: last }: InstanceView): readonly string[] {
  if (!last) return []
  return [
    `It tried to connect to another app, a private network, or an address that its egress does not name, and was refused, the last time at ${last.at}. Apps do not reach each other's containers, but by their hostnames; a private network: shadow update ${app.name} --egress NETWORK.`,
  ]
}

function badAnswer({ badAnswer: last }: InstanceView): readonly string[] {
  if (!last) return []
  const often = last.count === 1 ? 'An answer of it was refused' : `${last.count} answers of it were refused, the last`
  return [`${often} at ${last.at}, and its visitor got 502: ${last.fault}.`]
}

/** Explains why an app whose volume is lost does not wake. */
export const sayVolumeLost = (app: string, { message, details }: ShadowError): readonly string[] => [
  `${app} is asleep and cannot wake: ${message}.`,
  ...(details.hint === undefined ? [] : [`To mend it: ${details.hint}.`]),
]

const CHOSEN: Record<NonNullable<Placement<NodeName>['reason']>, string> = {
  'has-volume': 'it has the volume',
  'only-node': 'no other node can take it',
  'not-overloaded': 'others are overloaded',
  memory: 'others have less memory free than it reserves',
  'volume-slots': 'others have no free volume slot',
  image: 'it has the image',
  spread: 'others have more instances of it',
  room: 'it has more room',
  hash: 'by the hash of their names',
}

const whereNext = ({ paused }: App, placement: Placement<NodeName> | undefined): readonly string[] =>
  paused === undefined ? sayPlacement(placement) : []

/** On which node the next wake would be; nothing is said where there is one node that can take it. */
function sayPlacement(placement: Placement<NodeName> | undefined): readonly string[] {
  if (placement === undefined) return []
  const { node, reason, rejected } = placement
  const others = rejected.length === 0 ? '' : `: ${sayRejected(rejected)}`
  if (node === undefined || reason === undefined) return [`No node can take it now${others}.`]
  if (reason === 'only-node' && rejected.length === 0) return []
  return [`It would wake on ${node}, since ${CHOSEN[reason]}${others}.`]
}

const problem = (instance: InstanceView): readonly string[] =>
  instance.problem === null ? [] : [instance.problem.detail]

function crashed(instance: InstanceView, now: number): readonly string[] {
  const failed = instance.failures === 1 ? 'It failed once.' : `It failed ${instance.failures} times in a row.`
  const wait = instance.retryAt === null ? 0 : Date.parse(instance.retryAt) - now
  return [
    failed,
    wait > 0 ? `A request may try again in ${sayMs(wait)}, at ${instance.retryAt}.` : 'The next request tries again.',
  ]
}
