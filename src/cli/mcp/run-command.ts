import type { MasterClient } from '../../api/client.ts'
import { ClientSession, SESSION_HEADERS } from '../../api/exec-client.ts'
import { fileFault } from '../../api/file-scripts.ts'
import { systemClock } from '../../lib/clock.ts'
import { type FailureCode, ShadowError } from '../../lib/errors.ts'
import { Bounded, MOST_BYTES } from './bounded.ts'

export type CommandAsked = {
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly workdir?: string | undefined
  readonly stdin?: string | undefined
  /** Takes the output in place of keeping it; false: no more is wanted, and the command is ended. */
  readonly take?: ((bytes: Uint8Array) => boolean) | undefined
}
export type Ran = { readonly exitCode: number; readonly stdout: string; readonly stderr: string }

/** Runs a command in a sandbox to its end; the signal ends it. */
export async function runCommand(
  master: MasterClient,
  app: string,
  { command, env = {}, workdir, stdin = '', take }: CommandAsked,
  signal: AbortSignal,
): Promise<Ran> {
  using session = await ClientSession.open({
    start: { kind: 'exec', command: [...command], env: { ...env }, ...(workdir !== undefined && { workdir }) },
    open: (content, until) =>
      master.raw('openSession', { params: { app }, headers: SESSION_HEADERS, content, signal: until }),
    clock: systemClock,
    signal,
  })
  const [stdout, stderr] = [new Bounded(MOST_BYTES / 2), new Bounded(MOST_BYTES / 2)]
  const sent = session.write(Buffer.from(stdin)).then(() => session.endInput())
  sent.catch(() => undefined) // the session ends, and says why
  let isEnough = false
  try {
    const exitCode = await session.read({
      output: (stream, bytes) => {
        if (stream === 'stderr') stderr.write(bytes)
        else if (take === undefined) stdout.write(bytes)
        else if (!take(bytes)) {
          isEnough = true
          session[Symbol.dispose]()
        }
      },
    })
    return { exitCode, stdout: stdout.text, stderr: stderr.text }
  } catch (error) {
    signal.throwIfAborted()
    if (isEnough) return { exitCode: 0, stdout: '', stderr: stderr.text }
    throw error
  }
}

/** Runs a command about a file; fails with what its exit code means. */
export async function runOnFile(
  master: MasterClient,
  app: string,
  path: string,
  asked: CommandAsked,
  signal: AbortSignal,
): Promise<Ran> {
  const ran = await runCommand(master, app, asked, signal)
  if (ran.exitCode === 0) return ran
  const { code, detail } = fileFault(ran.exitCode, path, ran.stderr)
  throw new ShadowError(code as FailureCode, detail, { hint: 'list_files shows what is there' })
}
