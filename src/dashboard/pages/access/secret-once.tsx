import type { ComponentChildren } from 'preact'
import { CommandLine } from '../../components/command-line.tsx'

/** A secret that is shown only now. */
export function SecretOnce({ secret, children }: { secret: string; children: ComponentChildren }) {
  return (
    <div class="secret-once" role="status">
      <p>
        <strong>Copy it now: it is shown only this once.</strong> {children}
      </p>
      <CommandLine command={secret} />
    </div>
  )
}
