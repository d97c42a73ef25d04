import type { ComponentChildren } from 'preact'

type Props = {
  /** What the table lists, for screen readers; left out where a heading says so. */
  readonly caption?: string
  /** The heads of the columns, but for the last one, which has the buttons of a row. */
  readonly columns: readonly string[]
  readonly class?: string
  /** The rows. */
  readonly children: ComponentChildren
}

/** A table whose rows are cards on a phone. It scrolls by itself where it is too wide. */
export function CardTable({ caption, columns, class: name, children }: Props) {
  return (
    <div class="table-scroll">
      <table class={name === undefined ? 'table cards' : `table cards ${name}`}>
        {caption !== undefined && <caption class="unseen">{caption}</caption>}
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}
