/** Ends a command with this exit code, and prints nothing: the code is that of a command in a container. */
export class CommandExit extends Error {
  override name = 'CommandExit'
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`)
    this.exitCode = exitCode
  }
}
