import { masterCalls } from '../../src/api/master-calls.ts'
import { nodeCalls } from '../../src/api/node-calls.ts'
import { openapi } from '../../src/api/openapi.ts'
import { ownerRules } from '../../src/api/owner-rules.ts'
import { masterPaths, nodePaths } from '../../src/api/paths.ts'
import { RegisterSchema } from '../../src/api/schemas.ts'
import { table } from './table.ts'

type Schema = {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly default?: unknown
  readonly description?: string
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
}
type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId: string; summary: string }>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

/** The page about the API of the master and of nodes. */
export function apiPage(made: string): string {
  const { paths, components } = openapi() as Document
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId, summary }]) => [
      `\`${method.toUpperCase()} ${path}\``,
      whoMay(operationId as keyof typeof masterCalls),
      summary,
    ]),
  )
  const ofNodes = Object.entries(nodePaths).map(([name, call]) => {
    const { may, says } = nodeCalls[name as keyof typeof nodePaths]
    return [
      `\`${call}\``,
      may === 'anyone' ? 'anyone' : may.some(role => role === 'proxy') ? 'master, front' : 'master',
      says,
    ]
  })
  const least = RegisterSchema.parse({ name: 'x', image: 'x', volume: { size: '1GiB' } })
  const fields = fieldsOf(components.schemas['Register'] ?? {}, components.schemas, least)
  return `# API

${made}
The master describes its API as an OpenAPI 3.1 document. It has the schemas of all requests and answers:

\`\`\`sh
curl -H "Authorization: Bearer $(cat \${SHADOW_DATA:-/var/lib/shadow}/tokens/admin)" http://127.0.0.1:8080/openapi.json
\`\`\`

A call shows a token as \`Authorization: Bearer …\`. Errors are problem documents (RFC 9457), see [errors](errors.md). Changes of an app take
\`If-Match\` with the \`ETag\` of what was read, and fail with 412 \`changed\` if somebody else was first. The version is part of the path
(\`/v1\`).

## Calls of the master

${table(['call', 'who may', 'what it does'], calls)}
${Object.keys(masterPaths).length} calls. \`node\` and \`proxy\` are the roles of the tokens of nodes and fronts (\`shadow token create --role\`).
A token of the role \`owner\` is for [some apps](usage.md#owners): of a list it is shown those.

## What a definition has

The body of \`POST /v1/apps\`, and without \`name\` and \`access\` the body of \`PUT /v1/apps/{app}\`. \`PATCH\` takes a JSON merge patch of it
(RFC 7396).

${table(['field', 'type', 'default', 'what it says'], fields)}
## Calls of a node

A node listens for its front and master. Each shows a key of its own as \`x-shadow-key\`; tokens of the master open nothing here.

${table(['call', 'who may', 'what it does'], ofNodes)}
## Headers of apps' hostnames

${table(
  ['header', 'where', 'what it says'],
  [
    ['`x-shadow-wake: never`', 'request', 'answer 409 `app-asleep` rather than wake the app; for monitors'],
    [
      '`x-shadow-answered`',
      'answer of Shadow itself',
      'the app gave this answer at that time; it is given again while the app sleeps, and `age` has its age in seconds',
    ],
    ['`x-shadow-node`', 'answer', 'the node that served it'],
    ['`x-shadow-state`', 'answer of Shadow itself', 'the phase of the app'],
    ['`x-shadow-error`', 'answer of Shadow itself', 'the code of the error'],
    ['`server-timing`', 'answer that waited for a wake', 'how long each step took, in milliseconds'],
  ],
)}`
}

const whoMay = (name: keyof typeof masterCalls): string => {
  const { may } = masterCalls[name]
  if (may === 'anyone') return 'anyone'
  return [...may, ...(ownerRules[name] === 'never' ? [] : ['owner'])].join(', ')
}

/**
 * The fields of a schema as rows of a table; fields of nested objects have dotted names. `least` is the parsed form of a value with
 * only the required fields: it has the defaults.
 */
function fieldsOf(schema: Schema, schemas: Document['components']['schemas'], least: unknown, path = ''): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, given]) => {
    const field = resolved(given, schemas)
    const dotted = `${path}${name}`
    const usual = (least as Record<string, unknown> | undefined)?.[name]
    if (field.properties !== undefined) return fieldsOf(field, schemas, usual, `${dotted}.`)
    const isNeeded = schema.required?.includes(name) === true && field.default === undefined
    const shown = isNeeded ? 'must be given' : usual === undefined ? '-' : `\`${JSON.stringify(usual)}\``
    return [[`\`${dotted}\``, typeOf(field, schemas), shown, field.description ?? given.description ?? '']]
  })
}

function typeOf(given: Schema, schemas: Document['components']['schemas']): string {
  const schema = resolved(given, schemas)
  const others = schema.oneOf ?? schema.anyOf
  if (others !== undefined) return [...new Set(others.map(one => typeOf(one, schemas)))].join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map(value => `\`${String(value)}\``).join(', ')
  if (schema.items !== undefined) return `list of ${typeOf(schema.items, schemas)}`
  if (schema.properties !== undefined)
    return `{ ${Object.entries(schema.properties)
      .map(([name, one]) => `${name}: ${typeOf(one, schemas)}`)
      .join(', ')} }`
  return schema.type ?? 'any'
}

function resolved(schema: Schema, schemas: Document['components']['schemas']): Schema {
  const name = schema.$ref?.replace('#/components/schemas/', '')
  return name === undefined ? schema : { ...schemas[name], ...schema }
}
