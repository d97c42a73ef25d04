import { z } from 'zod'
import { ManifestSchema } from './manifest-schema.ts'

type Json = Record<string, unknown>

/** The forms that a file may have and that the API does not: see `normalised` of the CLI. */
const FORMS: Readonly<Record<string, Json>> = {
  command: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }] },
  env: {
    type: 'object',
    additionalProperties: { type: ['string', 'number', 'boolean'] },
    propertyNames: { pattern: '^(?!\\d)[^\\s=]+$' },
  },
  'checks.ready': { type: 'string', pattern: '^(port|healthcheck|started|http:/.*|log:.+)$' },
}

/** JSON Schema of shadow.toml, made from the schemas of the API, for editors. */
export function manifestJsonSchema(): Json {
  const made = z.toJSONSchema(ManifestSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      const schema = jsonSchema as Json
      const { override, example } = schema
      delete schema['override']
      delete schema['example']
      delete schema['id']
      if (JSON.stringify(schema['default']) === '{}') delete schema['default']
      if (typeof override === 'object' && override !== null) Object.assign(schema, override)
      if (example !== undefined) schema['examples'] = [example]
    },
  }) as Json
  for (const [path, form] of Object.entries(FORMS)) replace(made, path.split('.'), form)
  return { ...made, $id: '/shadow.schema.json', title: 'shadow.toml' }
}

/** Puts the form in the place of a field, and keeps its description. */
function replace(schema: Json, [name = '', ...rest]: readonly string[], form: Json): void {
  const properties = schema['properties'] as Record<string, Json>
  const field = properties[name] ?? {}
  const { description } = field
  if (rest.length > 0) replace(field, rest, form)
  else properties[name] = { ...(description !== undefined && { description }), ...form }
}
