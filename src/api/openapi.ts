import { z } from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { masterPaths } from './paths.ts'
import { masterRoutes } from './routes.ts'
import { ProblemSchema } from './schemas.ts'

type Route = (typeof masterRoutes)[keyof typeof masterRoutes]

/** The master's API as an OpenAPI 3.1 document, made from the same tables that define the types of its handlers and its client. */
export function openapi(): object {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const [name, route] of Object.entries(masterRoutes)) {
    const [method = '', path = ''] = masterPaths[name as keyof typeof masterPaths].split(' ')
    const templated = path.replace(/:(\w+)/g, '{$1}')
    paths[templated] = { ...paths[templated], [method.toLowerCase()]: operation(name, route) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Shadow master', version: '1', description: 'Apps, volumes and nodes of one Shadow.' },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths: paths as ZodOpenApiPathsObject,
  })
}

function operation(name: string, route: Route): ZodOpenApiOperationObject {
  const status = 'status' in route ? route.status : route.answer === 'nothing' ? 204 : 200
  return {
    operationId: name,
    summary: route.says,
    ...(route.may === 'anyone' && { security: [] }),
    ...(('params' in route || 'query' in route) && {
      requestParams: {
        ...('params' in route && { path: route.params }),
        ...('query' in route && { query: route.query }),
      },
    }),
    ...(route.answer === 'nothing' &&
      'content' in route && { requestBody: { required: true, content: { [route.content]: {} } } }),
    ...('body' in route && {
      requestBody: { required: true, content: { 'application/json': { schema: route.body } } },
    }),
    responses: {
      [status]: { description: route.says, ...contentOf(name, route) },
      default: { description: 'what went wrong', content: { 'application/problem+json': { schema: ProblemSchema } } },
    },
  }
}

function contentOf(name: string, route: Route): object {
  if (route.answer === 'nothing') return {}
  if (route.answer !== 'stream') return { content: { 'application/json': { schema: route.answer } } }
  if ('content' in route) return { content: { [route.content]: {} } }
  if (name === 'headBlob') return {}
  return { content: { [name === 'changes' ? 'text/event-stream' : 'application/x-ndjson']: { schema: z.string() } } }
}
