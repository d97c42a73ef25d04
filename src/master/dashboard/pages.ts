import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ShadowError } from '../../lib/errors.ts'
import { entryOf } from '../../lib/threads/entry.ts'
import { type PageFile, pageFile } from './files.ts'
import { documentHeaders, fileHeaders } from './page-headers.ts'
import { answerPlainPage } from './plain-page.ts'

/** Where the build puts the dashboard: beside the bundle, or in the `dist` of the checkout. */
export const BUILT_PAGES = fileURLToPath(entryOf(import.meta.url, '../../../dist/dashboard/', 'dashboard/'))

const DOCUMENTS = { 'index.html': documentHeaders(), 'terminal.html': documentHeaders({ inlineStyles: true }) }

/**
 * Serves the dashboard's documents and files. Answers false for a request that is for none of them. To open a page asks no storage and no
 * node, so it wakes nothing.
 */
export const dashboardPages =
  (folder: string) =>
  async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const path = pathOf(request)
    if ((request.method !== 'GET' && request.method !== 'HEAD') || isOfApi(path)) return false
    const accepts = request.headers['accept-encoding']
    const own = documentAt(path)
    if (own === undefined && !path.endsWith('.html')) {
      const isAsset = path.startsWith('/assets/')
      const file = await pageFile(folder, path.slice(1), accepts)
      if (file !== undefined) answerFile(request, response, file, fileHeaders(file.type, isAsset))
      else if (isAsset) throw new ShadowError('not-found', `the dashboard has no file ${path.slice(0, 200)}`)
      if (file !== undefined) return true
    }
    // The dashboard's own script knows which pages there are: every other address that a browser opens is one of its pages.
    const document = own ?? (isForBrowser(request) ? 'index.html' : undefined)
    if (document === undefined) return false
    const file = await pageFile(folder, document, accepts)
    if (file === undefined) answerNotBuilt(response)
    else answerFile(request, response, file, DOCUMENTS[document])
    return true
  }

const isForBrowser = ({ headers }: IncomingMessage): boolean => /\btext\/html\b/i.test(headers.accept ?? '')

function documentAt(path: string): keyof typeof DOCUMENTS | undefined {
  if (path === '/' || path === '/index.html') return 'index.html'
  return path === '/terminal.html' || /^\/terminal\/[^/]+$/.test(path) ? 'terminal.html' : undefined
}

function answerFile(
  { method, headers: asked }: IncomingMessage,
  response: ServerResponse,
  { bytes, encoding, etag }: PageFile,
  headers: Readonly<Record<string, string>>,
): void {
  const whole = { ...headers, etag, vary: 'Accept-Encoding', ...(encoding && { 'content-encoding': encoding }) }
  const known = asked['if-none-match']?.split(',').map(one => one.trim().replace(/^W\//, ''))
  if (known?.includes(etag)) response.writeHead(304, whole).end()
  else response.writeHead(200, { ...whole, 'content-length': bytes.length }).end(method === 'HEAD' ? undefined : bytes)
}

const answerNotBuilt = (response: ServerResponse): void =>
  answerPlainPage(response, 200, {
    heading: 'Shadow',
    says: ['This master runs, but its dashboard was not built.', 'In the checkout: npm run build'],
  })

const isOfApi = (path: string): boolean => /^\/(?:v1|v2|openapi\.json|shadow\.schema\.json)(?:\/|$)/i.test(path)

/** The path of the request, as it was sent: what is encoded in it is no name of a file. */
const pathOf = ({ url = '/' }: IncomingMessage): string => url.replace(/[?#].*$/s, '')
