import { ShadowError } from '../../lib/errors.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { messageOf, statusOf } from './failures.ts'

type Explain = (found: readonly string[], task: TaskDefinition | undefined) => { what: string; hint?: string }

/** Messages of runc, the kernel and Docker on definitions that cannot run, with explanations for the owner of the app. */
const REFUSALS: readonly (readonly [RegExp, Explain])[] = [
  [
    /unable to find (user|group) ([^:]*)/i,
    ([, kind = '', name = '']) => ({
      what: `its image names the ${kind} "${name}", and has none of that name in /etc/${kind === 'user' ? 'passwd' : 'group'}`,
      hint: 'mend USER in the Dockerfile',
    }),
  ],
  [
    /chdir to cwd \("([^"]*)"\).*?: ([^:"]*)/i,
    ([, folder = '', why = '']) => ({
      what: `it cannot begin in its working directory ${folder}: ${why.trim()}`,
      hint: 'mend WORKDIR in the Dockerfile',
    }),
  ],
  [
    /mkdir (\/[^:]*): (not a directory|file exists)/i,
    ([, folder = '', why = '']) => ({
      what: `its working directory ${folder} cannot be made: ${why}`,
      hint: 'mend WORKDIR in the Dockerfile',
    }),
  ],
  [
    /argument list too long/i,
    (_, task) => ({
      what: `its environment and its command are too large for Linux${task === undefined ? '' : ` (${sizeOf(task)})`}`,
      hint: 'one variable takes at most 128 KiB, all together about 2 MiB: put what is larger into a file',
    }),
  ],
  [
    /(?:error mounting|mount) .*?(?:cannot be mounted because it is inside|inside|to rootfs at) "?\/?(proc|sys|dev)\b/i,
    ([, where = ''], task) => ({
      what: `its volume cannot be at ${task?.volume?.path ?? `/${where}`}, which is the system's own`,
      hint: 'put it elsewhere: --volume SIZE:/data',
    }),
  ],
  [
    /not a directory: .*(?:mount a directory onto a file|vice-versa)|mount a directory onto a file/i,
    (_, task) => ({
      what: `its image has a file at ${task?.volume?.path ?? "its volume's path"}, where its volume is to be`,
      hint: 'put it elsewhere: --volume SIZE:/data',
    }),
  ],
]

/** Whether Docker has answered, and with a refusal. */
export const isRefusal = (error: unknown): boolean => (statusOf(error) ?? 0) >= 300

/** A refusal of Docker to make or start the app's container, as a fault of its definition. */
export function refused(app: string, error: unknown, task?: TaskDefinition): ShadowError {
  const message = messageOf(error)
  for (const [pattern, explain] of REFUSALS) {
    const found = pattern.exec(message)
    if (found === null) continue
    const { what, hint } = explain([...found], task)
    return new ShadowError('definition-refused', `${app} cannot be run as it is defined: ${what}`, {
      cause: error,
      hint,
    })
  }
  return new ShadowError(
    'definition-refused',
    `${app} cannot be run as it is defined. Docker says: ${plain(message)}`,
    {
      cause: error,
      hint: `shadow status ${app} has its definition`,
    },
  )
}

/** Without the names of the programs that passed the fault on. */
const plain = (message: string): string =>
  message
    .trim()
    .replace(/^.*?(?:OCI runtime create failed|failed to create shim task|runc create failed): /, '')
    .replace(
      /^container_linux\.go:\d+: |(?:starting container process caused: |process_linux\.go:\d+: |container_linux\.go:\d+: )/g,
      '',
    )

function sizeOf({ env, command = [] }: TaskDefinition): string {
  const bytes = Object.entries(env).reduce((sum, [name, value]) => sum + Buffer.byteLength(`${name}=${value}`) + 1, 0)
  return `${bytes + Buffer.byteLength(command.join(' '))} bytes`
}

/** For `catch`: what Docker refuses is a fault of the definition. */
export const orRefused =
  (task: TaskDefinition) =>
  (error: unknown): never => {
    throw isRefusal(error) ? refused(task.app, error, task) : error
  }
