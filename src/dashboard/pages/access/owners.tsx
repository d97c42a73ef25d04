import { CommandLine } from '../../components/command-line.tsx'
import { Link } from '../../components/link.tsx'
import { Section } from '../../components/section.tsx'
import type { Token } from './tokens.tsx'

type Owner = { readonly name: string; readonly patterns: readonly string[]; readonly tokens: number }

/** The owners, as the tokens of this role name them. */
function ownersOf(tokens: readonly Token[]): readonly Owner[] {
  const groups = Map.groupBy(
    tokens.filter(({ role }) => role === 'owner'),
    ({ name }) => name,
  )
  return [...groups]
    .map(([name, of]) => ({ name, patterns: [...new Set(of.flatMap(({ apps = [] }) => apps))], tokens: of.length }))
    .toSorted((a, b) => a.name.localeCompare(b.name))
}

/** Who has which apps. */
export function OwnersSection({ tokens }: { tokens: readonly Token[] | undefined }) {
  const owners = tokens && ownersOf(tokens)
  return (
    <Section
      title="Owners"
      says="An owner has the apps that tokens of its name are for. Usage and budgets are told for each."
    >
      {owners?.length === 0 && (
        <div class="stack">
          <p class="faint">There are no owners: a token of the role owner makes one.</p>
          <CommandLine command="shadow token create ann --apps 'ann-*'" />
        </div>
      )}
      {owners !== undefined && owners.length > 0 && (
        <div class="table-scroll">
          <table class="table cards">
            <caption class="unseen">Owners</caption>
            <thead>
              <tr>
                {['Owner', 'Apps', 'Tokens'].map(word => (
                  <th key={word} scope="col">
                    {word}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {owners.map(({ name, patterns, tokens: count }) => (
                <tr key={name}>
                  <th scope="row" class="wraps">
                    <Link to={`/?owner=${encodeURIComponent(name)}`}>{name}</Link>
                  </th>
                  <td class="wraps" data-label="Apps">
                    {patterns.join(', ')}
                  </td>
                  <td data-label="Tokens">{count}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  )
}
