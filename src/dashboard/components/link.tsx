import type { ComponentChildren } from 'preact'
import { go } from '../router.ts'

type Props = {
  readonly to: string
  readonly class?: string
  readonly title?: string
  readonly 'aria-label'?: string
  /** `page`: the link leads to the page that is shown. */
  readonly 'aria-current'?: 'page' | undefined
  readonly children?: ComponentChildren
}

/** A link to another page of the dashboard. */
export function Link({ to, children, ...rest }: Props) {
  const follow = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return
    event.preventDefault()
    go(to)
  }
  return (
    <a {...rest} href={to} onClick={follow}>
      {children}
    </a>
  )
}
