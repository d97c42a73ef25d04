import { call } from '../../../api.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { Failure } from '../../../components/failure.tsx'
import { Section } from '../../../components/section.tsx'
import { setQuery } from '../../../router.ts'
import { useCall } from '../../../use-call.ts'
import { diffRows } from './diff-rows.ts'

type Props = {
  readonly app: string
  readonly revisions: readonly number[]
  readonly from: number
  readonly to: number
}

/** What differs between two releases, field by field. */
export function DiffSection({ app, revisions, from, to }: Props) {
  const diff = useCall(
    signal => call('diffReleases', { params: { app }, query: { from, to }, signal }),
    [app, from, to],
  )
  const choose = (name: 'from' | 'to', label: string, value: number) => (
    <label class="inline-field">
      {label}
      <select value={value} onChange={event => setQuery({ [name]: event.currentTarget.value })}>
        {revisions.map(revision => (
          <option key={revision} value={revision}>
            release {revision}
          </option>
        ))}
      </select>
    </label>
  )
  return (
    <Section
      title="Compare releases"
      says="Variables and secrets by digests: equal values have equal digests."
      actions={
        <>
          {choose('from', 'From', from)}
          {choose('to', 'To', to)}
        </>
      }
    >
      {diff.error && <Failure error={diff.error} retry={diff.reload} />}
      {diff.value?.changes.length === 0 && (
        <p class="faint">
          Releases {from} and {to} run the same.
        </p>
      )}
      {diff.value !== undefined && diff.value.changes.length > 0 && (
        <div class="table-scroll">
          <table class="table cards diff">
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Release {diff.value.from}</th>
                <th scope="col">Release {diff.value.to}</th>
              </tr>
            </thead>
            <tbody>
              {diffRows(diff.value.changes).map(({ field, kind, before, after }) => (
                <tr key={field}>
                  <th scope="row">
                    <code>{field}</code>
                    <span class="unseen"> {kind}</span>
                  </th>
                  <td class="breaks" data-label={`Release ${from}`}>
                    {before === undefined ? <span class="faint">–</span> : <del class="diff-before">{before}</del>}
                  </td>
                  <td class="breaks" data-label={`Release ${to}`}>
                    {after === undefined ? <span class="faint">–</span> : <ins class="diff-after">{after}</ins>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <CommandLine command={`shadow diff ${app} ${from} ${to}`} />
    </Section>
  )
}
