import { z } from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { masterCalls } from './master-calls.ts'
import { masterPaths } from './paths.ts'
import { ProblemSchema } from './problem-schema.ts'

type ApiCall = (typeof masterCalls)[keyof typeof masterCalls]

/** The master's API as an OpenAPI 3.1 document, made from the same tables that define the types of its handlers and its client. */
export function openapi(): object {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const [name, call] of Object.entries(masterCalls)) {
    const [method = '', path = ''] = masterPaths[name as keyof typeof masterPaths].split(' ')
    const templated = path.replace(/:(\w+)/g, '{$1}')
    paths[templated] = { ...paths[templated], [method.toLowerCase()]: operation(name, call) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Shadow master', version: '1', description: 'Apps, volumes and nodes of one Shadow.' },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths: paths as ZodOpenApiPathsObject,
  })
}

function operation(name: string, call: ApiCall): ZodOpenApiOperationObject {
  const status = 'status' in call ? call.status : call.answer === 'nothing' ? 204 : 200
  return {
    operationId: name,
    summary: call.says,
    ...(call.may === 'anyone' && { security: [] }),
    ...(('params' in call || 'query' in call) && {
      requestParams: {
        ...('params' in call && { path: call.params }),
        ...('query' in call && { query: call.query }),
      },
    }),
    ...(call.answer === 'nothing' &&
      'content' in call && { requestBody: { required: true, content: { [call.content]: {} } } }),
    ...('sends' in call && { requestBody: { required: true, content: { [call.sends]: {} } } }),
    ...('body' in call && {
      requestBody: { required: true, content: { 'application/json': { schema: call.body } } },
    }),
    responses: {
      [status]: { description: call.says, ...contentOf(name, call) },
      default: { description: 'what went wrong', content: { 'application/problem+json': { schema: ProblemSchema } } },
    },
  }
}

/** The streams that are server-sent events; the others are NDJSON. */
const EVENTS: ReadonlySet<string> = new Set(['changes', 'followOverview'])

function contentOf(name: string, call: ApiCall): object {
  if (call.answer === 'nothing') return {}
  if (call.answer !== 'stream') return { content: { 'application/json': { schema: call.answer } } }
  if ('content' in call) return { content: { [call.content]: {} } }
  if (name.startsWith('head')) return {}
  return { content: { [EVENTS.has(name) ? 'text/event-stream' : 'application/x-ndjson']: { schema: z.string() } } }
}
