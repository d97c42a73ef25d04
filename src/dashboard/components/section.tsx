import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'

type Props = {
  readonly title: string
  readonly says?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}

/** A part of a page with a heading of its own. */
export function Section({ title, says, actions, children }: Props) {
  const id = useId()
  return (
    <section class="card section" aria-labelledby={id}>
      <div class="section-head">
        <div>
          <h2 id={id}>{title}</h2>
          {says !== undefined && <p class="faint">{says}</p>}
        </div>
        {actions !== undefined && <div class="row">{actions}</div>}
      </div>
      {children}
    </section>
  )
}
