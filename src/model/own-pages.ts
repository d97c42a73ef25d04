import { ShadowError } from '../lib/errors.ts'

export const PAGE_KINDS = ['waiting', 'error'] as const
/** `waiting`: shown while the app is being woken. `error`: shown where it cannot answer, or sleeps and the request does not wake it. */
export type PageKind = (typeof PAGE_KINDS)[number]

/** Pages that an app has in place of those of the front; HTML. They belong to the app and not to its definition: a change restarts nothing. */
export type OwnPages = { readonly [K in PageKind]?: string | undefined }

export const MOST_PAGE_BYTES = 32_768

/** What may stand in a page, and is replaced by text for the visitor. */
export const PLACEHOLDERS = ['app', 'title', 'text', 'status', 'code', 'id'] as const
export type Placeholder = (typeof PLACEHOLDERS)[number]

/** Checks that the text is a page; fails with `bad-input`. */
export function pageHtml(text: string): string {
  const bytes = Buffer.byteLength(text)
  if (bytes > MOST_PAGE_BYTES)
    throw new ShadowError('bad-input', `a page has ${MOST_PAGE_BYTES} bytes at most, and this one has ${bytes}`)
  if (!/^\uFEFF?\s*<(!doctype\s+html|html)\b/i.test(text))
    throw new ShadowError('bad-input', 'a page is HTML, and begins with <!doctype html>')
  if (text.includes('\0') || text.includes('\uFFFD'))
    throw new ShadowError('bad-input', 'a page is text in UTF-8, without NUL')
  return text
}

/** The page with the values in place of `{{name}}`; other text in braces stays as it is. */
export function filled(html: string, values: Readonly<Record<Placeholder, string>>): string {
  return html.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? values[name as Placeholder] : whole,
  )
}

export const hasNoPage = ({ waiting, error }: OwnPages): boolean => waiting === undefined && error === undefined
