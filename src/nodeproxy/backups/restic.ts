import { spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { ShadowError } from '../../lib/errors.ts'
import { SYSTEM } from '../../lib/exec.ts'

/** Runs restic. Its output on stdout is JSON, a document a line. */
export type Restic = {
  /** Fails with `no-restic` where this machine has none that can be used. */
  mustBeThere(): Promise<void>
  run(args: readonly string[], options: ResticRun): Promise<readonly ResticLine[]>
}

/** One document that restic prints. */
export type ResticLine = Readonly<Record<string, unknown>>

type ResticRun = {
  readonly repository: { readonly url: string; readonly password: string }
  /** The file that restic reads as its stdin. */
  readonly stdin?: number | undefined
  readonly signal: AbortSignal
}

/** What Go may use before it collects garbage more often; restic takes 140 to 210 MiB without this. */
const MEMORY = '96MiB'
/** Files of the repository that are sent or read at a time. */
const CONNECTIONS = 3
const MOST_LINES = 10_000
const MOST_STDERR = 8_192
/** The oldest version that restores holes as holes. */
const LEAST_MINOR = 16

/**
 * restic as a child process. It ends with this process, also where this is killed, and has a low priority: apps come first. It keeps nothing
 * on this machine.
 */
export function restic(path: string): Restic {
  let known: Promise<void> | undefined
  const mustBeThere = (): Promise<void> => {
    known ??= checkVersion(path).catch(error => {
      known = undefined // it may be installed meanwhile
      throw error
    })
    return known
  }

  return {
    mustBeThere,
    async run(args, { repository, stdin, signal }) {
      await mustBeThere()
      signal.throwIfAborted()
      const command = ['--pdeathsig', 'KILL', 'nice', '-n', '10', path, '--json', '--no-cache']
      const child = spawn('setpriv', [...command, '-o', `rest.connections=${CONNECTIONS}`, ...args], {
        stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
        cwd: '/',
        env: {
          ...SYSTEM,
          RESTIC_REPOSITORY: repository.url,
          RESTIC_PASSWORD: repository.password,
          RESTIC_PROGRESS_FPS: '0.1',
          // Its days and weeks begin when those of the masters do.
          TZ: 'UTC',
          GOMEMLIMIT: MEMORY,
          GOGC: '20',
        },
      })
      const end = (): void => void child.kill('SIGKILL')
      signal.addEventListener('abort', end, { once: true })
      try {
        const lines: ResticLine[] = []
        const [code, errors] = await Promise.all([
          new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve)),
          lastOf(child.stderr as Readable),
          readLines(child.stdout as Readable, line => {
            if (lines.length < MOST_LINES && line['message_type'] !== 'status') lines.push(line)
          }),
        ])
        signal.throwIfAborted()
        if (code !== 0) throw failed(code, errors)
        return lines
      } finally {
        signal.removeEventListener('abort', end)
      }
    },
  }
}

async function readLines(output: Readable, take: (line: ResticLine) => void): Promise<void> {
  for await (const text of createInterface({ input: output })) {
    const line = documentOf(text)
    for (const one of Array.isArray(line) ? line : [line]) if (one !== undefined) take(one)
  }
}

function documentOf(text: string): ResticLine | ResticLine[] | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // a line for people
  }
}

async function lastOf(output: Readable): Promise<string> {
  let text = ''
  for await (const chunk of output.setEncoding('utf8')) text = `${text}${chunk}`.slice(-MOST_STDERR)
  return text
}

// restic's exit codes: https://restic.readthedocs.io/en/stable/075_scripting.html
const WRONG_PASSWORD = 12

function failed(code: number | null, errors: string): ShadowError {
  const said = lastLineOf(errors)
  if (code === WRONG_PASSWORD || /wrong password or no key found/i.test(errors))
    return new ShadowError('secret-unreadable', `the key of these backups does not open them: ${said}`, {
      hint: 'the record of the backups and their repository do not belong together; restore both of one time',
    })
  if (/no space left on device/i.test(errors))
    return new ShadowError('disk-full', `no space left on this node: ${said}`, {
      hint: 'free space on the disk of the data folder (df -h), then try again',
    })
  return new ShadowError(
    'backup-failed',
    `restic failed with ${code === null ? 'a signal' : `exit code ${code}`}: ${said}`,
  )
}

/** What restic says at its end, in JSON or in words. */
function lastLineOf(errors: string): string {
  const line = errors.trim().split('\n').at(-1) ?? ''
  const document = documentOf(line)
  const message = document !== undefined && !Array.isArray(document) ? document['message'] : undefined
  return (typeof message === 'string' ? message : line).replace(/^Fatal: /, '').slice(0, 1_000)
}

async function checkVersion(path: string): Promise<void> {
  const text = await versionOf(path)
  const minor = Number(/^restic 0\.(\d+)\./.exec(text ?? '')?.[1] ?? Number.NaN)
  if (minor >= LEAST_MINOR || /^restic [1-9]\d*\./.test(text ?? '')) return
  const why = text === undefined ? `there is no restic at ${path}` : `${path} is ${text.split('\n')[0]?.slice(0, 100)}`
  throw new ShadowError(
    'no-restic',
    `this node cannot make or restore backups: ${why}; it takes 0.${LEAST_MINOR} or later`,
    {
      hint: 'get it from https://github.com/restic/restic/releases, or: go install github.com/restic/restic/cmd/restic@v0.18.1; then set SHADOW_RESTIC of the node to its path, and restart the node',
    },
  )
}

async function versionOf(path: string): Promise<string | undefined> {
  if (
    path.includes('/') &&
    !(await access(path, constants.X_OK).then(
      () => true,
      () => false,
    ))
  )
    return undefined
  return new Promise(resolve => {
    const child = spawn(path, ['version'], { stdio: ['ignore', 'pipe', 'ignore'], env: SYSTEM })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    child.on('error', () => resolve(undefined)).on('close', code => resolve(code === 0 ? text.trim() : undefined))
  })
}
