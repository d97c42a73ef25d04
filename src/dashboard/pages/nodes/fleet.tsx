import type { FleetReport } from '../../../model/fleet.ts'
import { call } from '../../api.ts'
import { CommandLine } from '../../components/command-line.tsx'
import { Failure } from '../../components/failure.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { sayBytes, sayMoney } from '../../format.ts'
import { usePlace } from '../../router.ts'
import { useCall } from '../../use-call.ts'

const EVERY_MS = 5_000
const usd = (amount: number | undefined): string => (amount === undefined ? '–' : sayMoney(amount, null))

/** The servers that a front starts and ends, its plan, and what they cost. The fleet is named by `?fleet=`. */
export function FleetSection() {
  const name = usePlace().query.get('fleet') ?? 'fleet'
  const loaded = useCall(signal => call('getFleet', { params: { fleet: name }, signal }), [name], {
    everyMs: EVERY_MS,
  })
  const { value, error } = loaded
  const report = value?.report
  const isUnused = value !== undefined && value.fronts.length === 0 && report === undefined
  return (
    <Section title="Fleet" says="Servers that a front starts when no node has room, and ends when nobody needs them.">
      {error && <Failure error={error} retry={loaded.reload} />}
      {isUnused && (
        <div class="stack">
          <p>No front runs a fleet. Set SHADOW_FLEET for a front (ec2 or static), and allow it to run the fleet:</p>
          <CommandLine command="shadow fleet allow FRONT" />
        </div>
      )}
      {value && !isUnused && (
        <p class="faint">
          {value.leader === null ? 'No front leads it now.' : `${value.leader.front} leads it.`} Allowed:{' '}
          {value.fronts.join(', ') || 'no front'}.{' '}
          {report && (
            <>
              Seen <Time at={report.at} />, by the driver {report.driver}; {report.max} servers at most.
            </>
          )}
        </p>
      )}
      {report && <Servers report={report} />}
      {report && <Plan report={report} />}
    </Section>
  )
}

function Servers({ report: { servers, usdPerHour, prices } }: { report: FleetReport }) {
  if (servers.length === 0) return <p>It has no servers now.</p>
  return (
    <>
      <div class="table-scroll">
        <table class="table">
          <caption class="unseen">Servers of the fleet</caption>
          <thead>
            <tr>
              {['Server', 'Phase', 'Since', 'Machine', 'Offer', 'Zone'].map(word => (
                <th key={word} scope="col">
                  {word}
                </th>
              ))}
              {['Awake', 'Free', 'USD an hour'].map(word => (
                <th key={word} scope="col" class="num">
                  {word}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {servers.map(one => (
              <tr key={one.node}>
                <td>{one.node}</td>
                <td>{one.note === undefined ? one.phase : `${one.phase}: ${one.note}`}</td>
                <td>
                  <Time at={one.since} />
                </td>
                <td>{[one.machine, one.state].filter(text => text !== undefined).join(', ') || '–'}</td>
                <td>{one.offer || '–'}</td>
                <td>{one.zone ?? '–'}</td>
                <td class="num">{one.awake ?? '–'}</td>
                <td class="num">{one.freeBytes === undefined ? '–' : sayBytes(one.freeBytes)}</td>
                <td class="num">{usd(one.usdPerHour)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="faint">
        Together {usd(usdPerHour)} USD an hour. Prices: {prices}.
      </p>
    </>
  )
}

function Plan({ report: { plan, notes, isDryRun } }: { report: FleetReport }) {
  return (
    <div class="stack">
      <h3>What it does next</h3>
      {plan.length === 0 && <p>Nothing.</p>}
      <ul>
        {plan.map(({ do: step, node, offer, why, usdPerHour }) => (
          <li key={`${step} ${node} ${why}`}>
            <strong>
              {step} {node}
            </strong>{' '}
            {offer} {usdPerHour !== undefined && `(${usdPerHour > 0 ? '+' : ''}${usd(usdPerHour)} USD an hour)`}: {why}
          </li>
        ))}
        {notes.map(note => (
          <li key={note}>{note}</li>
        ))}
      </ul>
      {isDryRun && plan.length > 0 && <p class="note">Nothing of this is done: SHADOW_FLEET_DRY_RUN is on.</p>}
      <CommandLine command="shadow fleet plan" />
    </div>
  )
}
