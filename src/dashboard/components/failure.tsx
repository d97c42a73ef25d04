import type { ApiError } from '../api.ts'
import { CommandLine } from './command-line.tsx'

/** What went wrong, with every fault and the hint of the master. */
export function Failure({ error, retry }: { error: ApiError; retry?: () => void }) {
  const isCommand = error.hint?.startsWith('shadow ') ?? false
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{error.code}</strong> {error.message}
      </p>
      {error.faults.length > 0 && (
        <ul>
          {error.faults.map(({ field, message }) => (
            <li key={`${field} ${message}`}>
              {field && <code>{field}</code>} {message}
            </li>
          ))}
        </ul>
      )}
      {error.hint !== undefined &&
        (isCommand ? <CommandLine command={error.hint} /> : <p class="faint">{error.hint}</p>)}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}
