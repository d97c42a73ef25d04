import type { ComponentChildren } from 'preact'

type Props = {
  readonly title: string
  readonly says?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
}

/** A part of a page with a heading of its own. */
export function Section({ title, says, actions, children }: Props) {
  const id = sectionId(title)
  return (
    <section class="card section" id={id} aria-labelledby={`${id}-title`}>
      <div class="section-head">
        <div>
          <h2 id={`${id}-title`}>{title}</h2>
          {says !== undefined && <p class="faint">{says}</p>}
        </div>
        {actions !== undefined && <div class="row">{actions}</div>}
      </div>
      {children}
    </section>
  )
}

/** The id of a section, for links to it. */
export const sectionId = (title: string): string => title.toLowerCase().replace(/[^a-z]+/g, '-')
