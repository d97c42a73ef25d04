import type { App } from '../model/app.ts'

/** The URLs of the app, with the front's scheme and port if the front is known. */
export function urlsOf(app: App, front: string | undefined): readonly string[] {
  return app.domains.map(domain => {
    const url = new URL(front ?? 'http://front')
    url.hostname = domain
    return url.href
  })
}
