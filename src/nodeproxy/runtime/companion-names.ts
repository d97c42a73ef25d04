import { ShadowError } from '../../lib/errors.ts'
import { appOf, type InstanceId, isPlain } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { LABEL_APP, LABEL_USES } from './runtime.ts'

/** The name that each container has in Docker's DNS, for links to it. Apps find one another by links alone, which are a container's own. */
export const nameOf = (app: AppName): string => `${app}.companion.shadow.internal`

/**
 * Fields of Docker's for the place of a container in the network. Docker's DNS answers a container for `blog-db` with the address that the
 * companion has at that moment, so that no address has to be written down anywhere; it does not answer other containers.
 */
export const endpointNames = (instance: InstanceId, { uses = [] }: Pick<TaskDefinition, 'uses'>) => ({
  ...(isPlain(instance) && { Aliases: [nameOf(appOf(instance))] }),
  ...(uses.length > 0 && { Links: uses.map(companion => `${nameOf(companion)}:${companion}`) }),
})

/** What the packet filter has to know of a container, besides what it may reach outside: its app, and the apps that it uses. */
export type Member = { readonly app: AppName; readonly uses: readonly AppName[] }

export const memberOf = ({ app, uses = [] }: Pick<TaskDefinition, 'app' | 'uses'>): Member => ({ app, uses })

/** The same by the labels of a container. */
export const memberIn = (labels: Readonly<Record<string, string>> = {}): Member => ({
  app: (labels[LABEL_APP] ?? '') as AppName,
  uses: (labels[LABEL_USES] ?? '').split(' ').filter(Boolean) as AppName[],
})

/** Which addresses reach which, as `from` and `to`: those of an app, all containers of the apps that it uses. */
export const linksOf = (members: ReadonlyMap<string, Member>): readonly (readonly [from: string, to: string])[] =>
  [...members].flatMap(([from, { uses }]) =>
    uses.length === 0 ? [] : [...members].flatMap(([to, { app }]) => (uses.includes(app) ? [[from, to] as const] : [])),
  )

/** Without a packet filter of ours, Docker's own drops what goes from one container to another one. */
export const noLinks = ({ app, uses = [] }: Pick<TaskDefinition, 'app' | 'uses'>): ShadowError =>
  new ShadowError(
    'egress-open',
    `${app} uses ${uses.join(', ')}, which it reaches by rules of the packet filter, and this node makes none`,
    { hint: 'SHADOW_EGRESS=on, or warn, of the node' },
  )
