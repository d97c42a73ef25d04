import { ShadowError, systemCode } from '../../lib/errors.ts'

/** The HTTP status that Docker answered with; undefined where it was no answer of Docker's. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined
}

/** What Docker said, without the library's words around it. */
export function messageOf(error: unknown): string {
  const message =
    error instanceof Error && 'json' in error ? (error.json as { message?: unknown } | null)?.message : undefined
  return typeof message === 'string' ? message : error instanceof Error ? error.message : String(error)
}

/** Whether the connection was cut: by a restart of Docker, or because a pooled one was no longer good. */
export const isCut = (error: unknown): boolean => ['ECONNRESET', 'EPIPE'].includes(systemCode(error) ?? '')

const AWAY = ['ECONNREFUSED', 'ENOENT', 'EACCES', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTSOCK', 'EHOSTUNREACH']

// Failures between Docker, containerd and runc. The hook is Docker itself, which gives the container its network: it may have been away.
const FAILED_ITSELF =
  /running (?:\w+ )?hook|(?:syncT|init-p).*(?:broken pipe|reset by peer|EOF)|ttrpc: closed|context (?:deadline exceeded|canceled)/

/** An error of Docker as one of ours, where it is one that has a name. */
export function failureOf(error: unknown, socketPath: string): unknown {
  if (error instanceof ShadowError) return error
  if (statusOf(error) === undefined && AWAY.includes(systemCode(error) ?? ''))
    return new ShadowError('runtime-unreachable', `Docker does not answer on ${socketPath} (${systemCode(error)})`, {
      cause: error,
      hint: 'is it running? systemctl status docker',
      retryAfterMs: 1_000,
    })
  if (FAILED_ITSELF.test(messageOf(error)))
    return new ShadowError('runtime-unreachable', `Docker failed by itself: ${messageOf(error)}`, {
      cause: error,
      hint: 'see its log: journalctl -u docker',
      retryAfterMs: 1_000,
    })
  // EXFULL, which the kernel answers for one more port.
  if (/to bridge \S+ failed: exchange full/i.test(messageOf(error)))
    return new ShadowError(
      'addresses-full',
      'the network of the apps has as many containers as a bridge of Linux carries: 1,023',
      {
        cause: error,
        hint: 'put apps to sleep, or add a node: frozen, suspended and parked apps count, too',
        retryAfterMs: 1_000,
      },
    )
  if (/no space left on device/i.test(messageOf(error)))
    return new ShadowError('disk-full', `Docker has no space left: ${messageOf(error)}`, {
      cause: error,
      hint: 'see what takes the space: docker system df',
    })
  return error
}

// Messages of runc and the kernel for a command that is missing, not allowed, no program, or not given.
const NO_COMMAND =
  /executable file not found|no such file or directory|permission denied|exec format error|is a directory|No command specified/i

/** Whether Docker failed to create or start a container since its command cannot be run. */
export function isNoCommand(error: unknown): boolean {
  if (error instanceof ShadowError) return false
  if (/No command specified/i.test(messageOf(error))) return true
  return (
    /OCI runtime create failed|starting container process/.test(messageOf(error)) && NO_COMMAND.test(messageOf(error))
  )
}

/** What docker-init says when it cannot run the command; its container then ends with 126 or 127. */
export const initFailure = (lines: readonly string[]): string | undefined =>
  lines
    .map(line => /^\[FATAL tini \(\d+\)\] exec (.* failed: .*)$/.exec(line)?.[1])
    .find(message => message !== undefined)

/** What runc says in the container's own output where the kernel refuses docker-init, the environment and the command together. */
export const runcFailure = (lines: readonly string[]): string | undefined =>
  lines.length === 1 ? /^exec \S*docker-init: (.*)$/.exec(lines[0] ?? '')?.[1] : undefined

export const commandNotFound = (app: string, message: string, cause?: unknown): ShadowError =>
  new ShadowError('command-not-found', `the command of ${app} cannot be run: ${message}`, {
    cause,
    hint: `say one that the image has: shadow update ${app} -- COMMAND…`,
  })
