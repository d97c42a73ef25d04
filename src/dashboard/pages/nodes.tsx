import { call } from '../api.ts'
import { CommandLine } from '../components/command-line.tsx'
import { Empty } from '../components/empty.tsx'
import { Failure } from '../components/failure.tsx'
import { Heading } from '../components/heading.tsx'
import type { PageProps } from '../page-props.ts'
import { useCall } from '../use-call.ts'
import { NodeCard } from './nodes/card.tsx'
import { FleetSection } from './nodes/fleet.tsx'

const EVERY_MS = 5_000
const MOST_ROWS = 200

/** The machines that run apps, and the fleet that starts and ends machines. */
export function NodesPage(_: PageProps) {
  const nodes = useCall(signal => call('listNodes', { signal }), [], { everyMs: EVERY_MS })
  const awake = useCall(signal => call('getOverview', { query: { phase: 'awake', limit: MOST_ROWS }, signal }), [], {
    everyMs: EVERY_MS,
  })
  const items = nodes.value?.items
  return (
    <>
      <Heading title="Nodes" />
      {nodes.error && <Failure error={nodes.error} retry={nodes.reload} />}
      {items?.length === 0 && (
        <Empty title="No nodes yet">
          <p>A node runs apps in containers. On a machine with Docker, with a token that shadow token create makes:</p>
          <CommandLine command="shadow nodeproxy" />
        </Empty>
      )}
      <div class="node-list">
        {items?.map(node => (
          <NodeCard
            key={node.name}
            node={node}
            rows={awake.value?.items.filter(row => row.node === node.name)}
            changed={nodes.reload}
          />
        ))}
        {items === undefined && !nodes.error && <div class="card node node-coming" aria-hidden="true" />}
      </div>
      <FleetSection />
    </>
  )
}
