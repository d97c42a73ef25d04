import { execFile } from 'node:child_process'

/** A command that failed; `exitCode` is undefined if the command could not be started or was killed. */
export class ExecError extends Error {
  override name = 'ExecError'
  readonly command: string
  readonly exitCode: number | undefined
  readonly stderr: string
  readonly stdout: string

  constructor(
    command: string,
    exitCode: number | undefined,
    output: { stdout: string; stderr: string },
    cause: unknown,
  ) {
    const { stdout, stderr } = output
    super(`${command}: ${stderr.trim() || (exitCode === undefined ? String(cause) : `exit code ${exitCode}`)}`, {
      cause,
    })
    this.command = command
    this.exitCode = exitCode
    this.stderr = stderr
    this.stdout = stdout
  }
}

/** Runs a program and returns its stdout; throws ExecError. Exit codes in `alsoGood` count as success. */
export type Exec = (
  file: string,
  args: readonly string[],
  options?: { readonly alsoGood?: readonly number[] },
) => Promise<string>

/** Runs a program as a child of this process. */
export const exec: Exec = (file, args, { alsoGood = [] } = {}) =>
  new Promise((resolve, reject) => {
    execFile(file, args, { env: SYSTEM }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined
      if (exitCode !== undefined && (exitCode === 0 || alsoGood.includes(exitCode))) return resolve(stdout)
      reject(new ExecError([file, ...args].join(' '), exitCode, { stdout, stderr }, error))
    })
  })

// losetup and mkfs are in sbin, which the PATH of a service or a user may not contain.
export const SYSTEM = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
