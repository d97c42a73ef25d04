import type { App } from '../model/app.ts'

/** Where the app is to be seen; the front's scheme and port where it is known. */
export function urlsOf(app: App, front: string | undefined): readonly string[] {
  return app.domains.map(domain => {
    const url = new URL(front ?? 'http://front')
    url.hostname = domain
    return url.href
  })
}
