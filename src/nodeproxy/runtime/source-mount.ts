import { join } from 'node:path'
import { SOURCE_PATH } from '../../model/source.ts'
import type { TaskDefinition } from '../../model/task.ts'

type Specified = { readonly HostConfig: { readonly Mounts: readonly object[] } }

/** The specification of a container with the source of its app: mounted read-only, from the folder of all sources, and the place where it runs. */
export function withSource<T extends Specified>(
  specification: T,
  { source }: TaskDefinition,
  sources: string | undefined,
) {
  if (source === undefined) return specification
  const mount = {
    Type: 'bind' as const,
    Source: join(sources ?? '', source.digest),
    Target: SOURCE_PATH,
    ReadOnly: true,
    // Private, so that no later mount of ours gets in.
    BindOptions: { Propagation: 'rprivate' as const },
  }
  const { HostConfig } = specification
  // A container that only checks its image has no source yet.
  const Mounts = sources === undefined ? HostConfig.Mounts : [mount, ...HostConfig.Mounts]
  return { ...specification, WorkingDir: SOURCE_PATH, HostConfig: { ...HostConfig, Mounts } }
}

/** The folders of a container that a volume or a source will be over: what its image has there does not count. */
export const hiddenBy = ({ volume, source }: TaskDefinition): readonly string[] =>
  [volume?.path, source && SOURCE_PATH].filter(path => path !== undefined)
