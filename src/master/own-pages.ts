import type { App } from '../model/app.ts'
import { hasNoPage, type OwnPages } from '../model/own-pages.ts'

/** The pages to store in an app's document. */
export const pagesOf = (said: OwnPages | undefined): Pick<App, 'pages'> =>
  said === undefined || hasNoPage(said) ? { pages: undefined } : { pages: said }

/** Whether both apps have the same pages. */
export const samePages = (one: Pick<App, 'pages'>, other: Pick<App, 'pages'>): boolean =>
  one.pages?.waiting === other.pages?.waiting && one.pages?.error === other.pages?.error
