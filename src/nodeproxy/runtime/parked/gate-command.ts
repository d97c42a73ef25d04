import { posix } from 'node:path'
import type { GateCommand } from './gate-message.ts'

type Words = string | readonly string[] | null | undefined
/** What an image says of its command. */
export type ImageCommand = { readonly Entrypoint?: Words; readonly Cmd?: Words }

type Given = {
  readonly image: ImageCommand
  /** The command of the definition; left out: that of the image. */
  readonly command: readonly string[] | undefined
  /** What the waiting process has: the variables of the image, and those that Docker and runc set. */
  readonly environ: readonly string[]
  /** The variables of the definition, as `NAME=value`. */
  readonly env: readonly string[]
  /** The folder of the waiting process. */
  readonly workdir: string
  /** Where the volume is mounted after the container was started. */
  readonly volumePath: string | undefined
}

/** The words of the command that Docker would start: the entrypoint of the image, and the command of the definition or of the image. */
export const wordsOf = (
  { Entrypoint, Cmd }: ImageCommand,
  command: readonly string[] | undefined,
): readonly string[] => [...[Entrypoint ?? []].flat(), ...(command ?? [Cmd ?? []].flat())]

/** What the process at a gate becomes: the command, environment and folder of an ordinary start of the same definition. */
export function gateCommand({ image, command, environ, env, workdir, volumePath }: Given): GateCommand {
  const args = wordsOf(image, command)
  const variables = merged(environ, env)
  return {
    args,
    env: variables,
    programs: programsOf(args[0] ?? '', variables),
    // runc has taken the folder that is below the volume.
    folder: volumePath === workdir ? workdir : undefined,
  }
}

/** As Docker does it: a variable that is given again keeps its place. */
export function merged(before: readonly string[], after: readonly string[]): readonly string[] {
  const name = (variable: string): string => variable.split('=', 1)[0] ?? ''
  return [...new Map([...before, ...after].map(variable => [name(variable), variable])).values()]
}

/** As runc looks for it: a name without a slash in the folders of PATH. */
function programsOf(program: string, env: readonly string[]): readonly string[] {
  if (program.includes('/')) return [program]
  const path = env.find(variable => variable.startsWith('PATH='))?.slice('PATH='.length) ?? ''
  return path.split(':').map(folder => posix.join(folder || '.', program))
}
