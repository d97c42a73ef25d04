import { useState } from 'preact/hooks'
import type { CallAnswer } from '../../../api/call-shape.ts'
import type { masterCalls } from '../../../api/master-calls.ts'
import { sayChanges } from '../../../model/say-changes.ts'
import { sayImage, sayMade } from '../../../model/say-release.ts'
import { call } from '../../api.ts'
import { CardTable } from '../../components/card-table.tsx'
import { Confirm } from '../../components/confirm.tsx'
import { Failure } from '../../components/failure.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { toast } from '../../components/toasts.tsx'
import { setQuery, usePlace } from '../../router.ts'
import { useCall } from '../../use-call.ts'
import { DeploySection } from './releases/deploy-section.tsx'
import { DiffSection } from './releases/diff-section.tsx'
import { RolloutView } from './releases/rollout-view.tsx'
import type { TabProps } from './tab-props.ts'

type Release = CallAnswer<(typeof masterCalls)['listReleases']>['items'][number]

/** The tab of releases: deploy, the list, and what differs between two. */
export function ReleasesTab({ facts, app }: TabProps) {
  const { name, task } = app
  const releases = useCall(
    signal => call('listReleases', { params: { app: name }, signal }),
    [name, task.revision, facts.row?.phase],
  )
  const [back, setBack] = useState<Release>()
  const { query } = usePlace()
  const items = releases.value?.items ?? []
  const revisions = items.map(({ revision }) => revision)
  const chosen = (given: string | null, otherwise: number | undefined): number | undefined =>
    revisions.find(revision => String(revision) === given) ?? otherwise
  const to = chosen(query.get('to'), revisions[0])
  const from = chosen(query.get('from'), revisions[revisions.indexOf(to ?? 0) + 1])
  const rollBack = async (release: Release): Promise<void> => {
    const { app: after, from: before } = await call('rollbackApp', {
      params: { app: name },
      query: { env: 'digests' },
      body: { to: release.revision },
    })
    facts.reload()
    releases.reload()
    toast(
      after.task.revision === before
        ? `${name} stays at release ${before}, which is the same as release ${release.revision}`
        : `${name} is at release ${after.task.revision}, which is release ${release.revision} again`,
    )
  }
  return (
    <>
      <DeploySection facts={facts} app={app} />
      <Section
        title="Releases"
        says="The newest first. A rollback makes a new release that runs what an earlier one ran."
      >
        <RolloutView app={name} revision={task.revision} phase={facts.row?.phase} onEnd={releases.reload} />
        {releases.error && <Failure error={releases.error} retry={releases.reload} />}
        {releases.value !== undefined && releases.value.silent.length > 0 && (
          <p class="note">What serves on {releases.value.silent.join(', ')} is not known: no answer.</p>
        )}
        <CardTable columns={['Release', 'Made', 'State', 'Image', 'Changes']} class="releases">
          {items.map((release, at) => (
            <Row
              key={release.revision}
              release={release}
              before={items[at + 1]?.revision}
              onBack={() => setBack(release)}
            />
          ))}
        </CardTable>
      </Section>
      {to !== undefined && from !== undefined && <DiffSection app={name} revisions={revisions} from={from} to={to} />}
      {back !== undefined && (
        <Confirm
          title={`Roll back to release ${back.revision}`}
          action="Roll back"
          command={`shadow rollback ${name} ${back.revision}`}
          onClose={() => setBack(undefined)}
          run={() => rollBack(back)}
        >
          <p>
            A new release gets the definition, the image and the secrets of release {back.revision}, which was made{' '}
            <Time at={back.createdAt} />. Domains, access rules, scale and the data of its volume stay as they are.
          </p>
        </Confirm>
      )}
    </>
  )
}

type RowProps = { readonly release: Release; readonly before: number | undefined; readonly onBack: () => void }

function Row({ release, before, onBack }: RowProps) {
  const { revision, createdAt, made, image, digest, isCurrent, secretsVersion } = release
  return (
    <tr>
      <th scope="row" class="num" data-label="Release">
        {revision}
      </th>
      <td data-label="Made">
        <Time at={createdAt} />
        <span class="faint about">{sayMade(made)}</span>
        {made?.note !== undefined && <span class="about breaks">“{made.note}”</span>}
      </td>
      <td data-label="State">
        <State release={release} />
      </td>
      <td class="breaks" data-label="Image">
        <code>{sayImage(image, digest)}</code>
        {secretsVersion !== null && <span class="faint about">secrets version {secretsVersion}</span>}
      </td>
      <td class="breaks release-changes" data-label="Changes">
        {before === undefined ? <span class="faint">–</span> : sayChanges(release.changes)}
      </td>
      <td class="variable-actions">
        {before !== undefined && (
          <button
            type="button"
            class="quiet"
            aria-label={`Compare release ${revision} with ${before}`}
            onClick={() => setQuery({ from: String(before), to: String(revision) })}
          >
            Compare
          </button>
        )}
        {!isCurrent && (
          <button type="button" class="quiet" aria-label={`Roll back to release ${revision}`} onClick={onBack}>
            Roll back
          </button>
        )}
      </td>
    </tr>
  )
}

function State({ release: { isCurrent, serves, outcome } }: { release: Release }) {
  return (
    <span class="marks">
      {isCurrent && <span class="mark current">current</span>}
      {serves && <span class="mark awake">serves</span>}
      {!serves && outcome === 'ready' && <span class="mark">ready</span>}
      {!serves && outcome === 'rejected' && <span class="mark rejected">rejected</span>}
    </span>
  )
}
