import { store, useStore } from './store.ts'

export type Place = { readonly path: string; readonly query: URLSearchParams; readonly hash: string }

const here = (): Place => ({
  path: location.pathname,
  query: new URLSearchParams(location.search),
  hash: location.hash.slice(1),
})

const place = store<Place>(here())
addEventListener('popstate', () => place.set(here()))
addEventListener('hashchange', () => place.set(here()))

/** Where the person is. */
export const usePlace = (): Place => useStore(place)

/** Goes to another page. `replace`: the way back leads to the page before this one. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  place.set(here())
  if (!replace) scrollTo(0, 0)
}

/** Changes parameters of the query; `undefined` or '' removes one. The way back skips it. */
export function setQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const query = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') query.delete(name)
    else query.set(name, value)
  }
  const text = query.toString()
  go(`${location.pathname}${text && `?${text}`}`, { replace: true })
}

/** The parameters of a path that has the shape of the pattern (`/apps/:app`); undefined: it has another one. */
export function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const [wanted, parts] = [pattern.split('/'), path.replace(/\/$/, '').split('/')]
  if (pattern === '/' && path === '/') return {}
  if (wanted.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, name] of wanted.entries()) {
    const part = parts[index] ?? ''
    if (name.startsWith(':')) {
      if (part === '') return undefined
      params[name.slice(1)] = decoded(part)
    } else if (name !== part) return undefined
  }
  return params
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
