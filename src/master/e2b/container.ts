import type { ClientSession } from '../../api/exec-client.ts'
import type { SessionStart } from '../../api/exec-schemas.ts'
import { EXIT as FILE_EXIT } from '../../api/file-scripts.ts'
import { isFailure } from '../../lib/errors.ts'
import { fault, type RpcCode } from './faults.ts'

type Start = { kind: 'exec'; command: string[] } & Partial<
  Pick<Extract<SessionStart, { kind: 'exec' }>, 'env' | 'tty' | 'user'>
>
/** Opens a command in the container of a sandbox. */
export type Open = (start: Start, signal: AbortSignal) => Promise<ClientSession>

/** How the scripts of this room say what went wrong: by their exit code. */
export const EXIT = { ...FILE_EXIT, exists: 17 } as const
const RPC_OF: Readonly<Record<number, RpcCode>> = {
  [EXIT.notFound]: 'not_found',
  [EXIT.isFolder]: 'invalid_argument',
  [EXIT.notFolder]: 'invalid_argument',
  [EXIT.exists]: 'already_exists',
  [EXIT.noAccess]: 'permission_denied',
}

/** Sets `p` to the absolute path of `$1`; see `containerPath`. */
export const AT = 'at() { case $1 in /*) p=$1 ;; *) p=$HOME/$1 ;; esac; }; '
/** `no CODE WORDS` ends a script with words for the client. */
export const NO = 'no() { printf "%s\\n" "$2" >&2; exit "$1"; }; '

const MOST_SAID_BYTES = 16 * 2 ** 20
const MOST_FAULT_BYTES = 4_096

type Io = {
  readonly user: string | undefined
  readonly output?: (bytes: Uint8Array) => Promise<void> | void
  readonly input?: AsyncIterable<Uint8Array>
}

/**
 * Runs a script of ours by the container's own `sh`, as the user. Whatever comes from a client is an argument of it, never a part. Resolves with
 * what it wrote; fails with what its exit code means.
 */
export async function runScript(open: Open, script: string, words: readonly string[], io: Io, signal: AbortSignal) {
  using session = await open(scriptStart(script, words, io.user), signal)
  const parts: Buffer[] = []
  let bytes = 0
  const keep = (piece: Uint8Array): void => {
    bytes += piece.length
    if (bytes > MOST_SAID_BYTES)
      throw fault('resource_exhausted', `there is too much of it: more than ${MOST_SAID_BYTES} bytes`)
    parts.push(Buffer.from(piece))
  }
  let said = ''
  let failure: { readonly error: unknown } | undefined
  sendAll(session, io.input).catch(error => {
    failure = { error }
    session[Symbol.dispose]() // half of the input must not look like all of it
  })
  const code = await session
    .read({
      output: (stream, piece) => {
        if (stream === 'stdout') return io.output === undefined ? keep(piece) : io.output(piece)
        if (said.length < MOST_FAULT_BYTES) said += Buffer.from(piece).toString()
        return undefined
      },
    })
    .catch(error => Promise.reject(failure?.error ?? error))
  if (code !== 0) throw scriptFault(code, said.trim())
  if (failure !== undefined) throw failure.error
  return Buffer.concat(parts)
}

export function scriptStart(script: string, words: readonly string[], user: string | undefined): Start {
  return { kind: 'exec', command: ['sh', '-c', script, 'sh', ...words], ...(user !== undefined && { user }) }
}

async function sendAll(session: ClientSession, input: AsyncIterable<Uint8Array> | undefined): Promise<void> {
  for await (const bytes of input ?? []) await session.write(bytes)
  await session.endInput()
}

function scriptFault(code: number, said: string) {
  const rpc =
    RPC_OF[code] ?? (/permission denied|read-only|not permitted/i.test(said) ? 'permission_denied' : undefined)
  if (rpc === undefined && /no space left|quota exceeded/i.test(said)) return fault('resource_exhausted', said)
  return fault(rpc ?? 'failed_precondition', said === '' ? `a command in the sandbox failed with ${code}` : said)
}

/** An error that says so where the image of the sandbox has no shell. */
export function withoutShell(error: unknown): never {
  if (isFailure(error, 'command-not-found') && error.message.startsWith('"sh"'))
    throw fault(
      'failed_precondition',
      'the image of the sandbox has no sh, and files and commands need one',
      'docs/sandboxes.md',
    )
  throw error
}
