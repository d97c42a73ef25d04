import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'

/** The heading of a page, its title in the browser, and what can be done on the page. */
export function Heading({ title, children }: { title: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Shadow`
  }, [title])
  return (
    <div class="heading">
      <h1>{title}</h1>
      <div class="row">{children}</div>
    </div>
  )
}
