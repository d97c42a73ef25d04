import { parseValue } from '../../api/parse-call.ts'
import { ReplaceSchema } from '../../api/schemas.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { type Hostname, hostname } from '../../model/hostname.ts'
import { imageTemplateOf } from '../../model/image-session.ts'
import type { Scope } from '../../model/scope.ts'
import { TEMPLATE_DEFAULTS } from '../../model/session.ts'
import { taskOf } from '../definition.ts'
import { ownName } from '../images/own-name.ts'
import { nameFor } from './names.ts'
import type { Connect } from './views.ts'

type Parts = { readonly appsDomain: Hostname; readonly clock: Clock }

/**
 * A connect that names an image gets the template that the image and its settings imply. Nothing is stored of it: what a template says, the
 * session's own document has, and the name of the session follows from it and from the key. Decision 077. Other connects are left as
 * they are. `scope`: undefined for whoever has all apps; `host`: that the call was sent to.
 */
export function ofImage(
  { appsDomain, clock }: Parts,
  asked: Connect,
  scope: Scope | undefined,
  host: string | undefined,
): Connect {
  const { spawn, key } = asked
  if (spawn?.image === undefined) return asked
  const { image, command, port, ready, volume, egress, ports, limits, ...rest } = spawn
  const name = imageTemplateOf(scope)
  if (name === undefined) throw mayNameNone(scope ?? [])
  const definition = { image: ownName(image, host), command, port, ready, volume, egress, limits }
  const at = timestamp(clock)
  const { most, visitors, whenIdle } = TEMPLATE_DEFAULTS
  const of: App = {
    name,
    domains: [hostname(`${name}.${appsDomain}`)],
    template: { most, visitors, whenIdle, ports },
    createdAt: at,
    updatedAt: at,
    task: taskOf(name, 1, parseValue(ReplaceSchema, definition), at),
  }
  return { ...asked, of, name: nameFor(name, key, canonical({ ...definition, ports })), spawn: rest }
}

/** The same text for the same settings, in whatever order they were given. */
const canonical = (value: object): string =>
  JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  )

const mayNameNone = (scope: Scope): ShadowError =>
  new ShadowError('forbidden', `a token for the apps ${scope.join(', ')} may not make sessions of images`, {
    hint: 'it takes a token for all names with one beginning of up to 34 characters: shadow token create NAME --apps "ann-*"',
  })
