// The site of the editor: it knows who its visitors are, asks Shadow for the process of a document, and sends the browser there.
//
//   SHADOW_URL=http://localhost:8080 SHADOW_TOKEN=… node contrib/examples/editor/door.ts 3000
import { createServer } from 'node:http'
import { ShadowClient, ShadowFailure } from '../../../src/sdk/main.ts'

const client = new ShadowClient({
  url: process.env['SHADOW_URL'] ?? 'http://localhost:8080',
  token: process.env['SHADOW_TOKEN'] ?? '',
})

createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://door')
  const [, name] = /^\/documents\/([\w.-]{1,100})$/.exec(pathname) ?? []
  if (name === undefined) return response.writeHead(404).end('try /documents/NAME?user=YOU\n')
  try {
    const user = searchParams.get('user') ?? 'a stranger'
    const { url } = await client.connect({ template: 'editor', key: { name }, user })
    response.writeHead(303, { location: url, 'cache-control': 'no-store' }).end()
  } catch (error) {
    const [status, text] = error instanceof ShadowFailure ? [503, `${error.code}: ${error.message}`] : [500, 'failed']
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`)
  }
}).listen(Number(process.argv[2] ?? 3_000), '127.0.0.1')
