import { MASTER_HOST } from './member.ts'
import type { AppName } from './names.ts'

/** What makes an image of a folder. */
export const BUILDERS = ['docker', 'nixpacks', 'railpack'] as const

/** Labels of images that Shadow built. They are the same for all builds of an app, so that the builder finds what it has built before. */
export const LABEL_BUILT_FOR = 'shadow.built-for'

/** The name of an image that was built for the app, by its id: the name that the image store of the masters has for it too. */
export const builtImage = (app: AppName, id: string): string =>
  `${MASTER_HOST}/${app}:${id.replace(/^sha256:/, '').slice(0, 12)}`

/** Whether the tag is one of an image that Shadow built: such an image may be on the node alone that built it. */
export const isBuiltTag = (tag: string): boolean => /^[0-9a-f]{12}$/.test(tag)

/** The app that an image of this name was built for; undefined if it was not built by Shadow. */
export const appOfBuilt = (image: string): string | undefined =>
  new RegExp(`^${MASTER_HOST}/([^/:]+):[0-9a-f]{12}$`).exec(image)?.[1]

/** What happens in a build, in the order in which it happens; `image` or `problem` is the last. */
export type BuildEvent =
  | { readonly line: string }
  | { readonly image: { readonly id: string; readonly name: string; readonly node: string } }
  | { readonly problem: object }
