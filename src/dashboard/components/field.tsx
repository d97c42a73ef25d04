import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { useFormAround } from './form.tsx'

type Props = {
  /** The path of the field in the body of the call, such as `limits.memory`: faults of the master are shown by it. */
  readonly name: string
  readonly label: string
  readonly hint?: ComponentChildren | undefined
}
type Control = {
  readonly id: string
  readonly name: string
  readonly 'aria-describedby': string | undefined
  readonly 'aria-invalid': 'true' | undefined
}

/** Whether a fault at `path` is about the field `name` or a part of it. */
export const isAbout = (name: string, path: string | undefined): boolean =>
  path === name || (path?.startsWith(`${name}.`) ?? false)

type Around = Props & {
  readonly width?: 'long' | 'wide' | undefined
  readonly control: (props: Control) => ComponentChildren
}

function Around({ name, label, hint, width, control }: Around) {
  const id = useId()
  const form = useFormAround()
  const faults = form.error?.faults.filter(({ field }) => isAbout(name, field)) ?? []
  const other = form.meanwhile(name)
  const isDescribed = hint !== undefined || faults.length > 0 || other !== undefined
  return (
    <div class={width === undefined ? 'field' : `field ${width}`}>
      <label for={id}>{label}</label>
      {control({
        id,
        name,
        'aria-describedby': isDescribed ? `${id}-about` : undefined,
        'aria-invalid': faults.length > 0 ? 'true' : undefined,
      })}
      {isDescribed && (
        <div id={`${id}-about`} class="field-about">
          {faults.map(({ field, message }) => (
            <p key={`${field} ${message}`} class="bad">
              {field === name ? '' : `${field.slice(name.length + 1)}: `}
              {message}
            </p>
          ))}
          {other !== undefined && (
            <p class="field-meanwhile">
              Somebody stored <code>{String(other) || 'nothing'}</code> here after you began to type. Saving replaces
              it.
            </p>
          )}
          {hint !== undefined && <p class="faint">{hint}</p>}
        </div>
      )}
    </div>
  )
}

type TextProps = Props & {
  readonly placeholder?: string
  readonly inputMode?: 'decimal'
  /** It takes two columns. */
  readonly isLong?: boolean
}

/** A line of text. */
export function TextField({ name, label, hint, isLong = false, ...rest }: TextProps) {
  const { values, set } = useFormAround()
  return (
    <Around
      name={name}
      label={label}
      hint={hint}
      width={isLong ? 'long' : undefined}
      control={props => (
        <input
          {...props}
          {...rest}
          value={String(values[name] ?? '')}
          onInput={event => set(name, event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      )}
    />
  )
}

/** A number. What is typed stays text: the master says what is wrong with it. */
export const NumberField = (props: Omit<TextProps, 'type' | 'inputMode'>) => (
  <TextField {...props} inputMode="decimal" />
)

/** Several lines of text, one value a line. */
export function LinesField({
  name,
  label,
  hint,
  rows = 3,
  placeholder,
}: Props & { rows?: number; placeholder?: string }) {
  const { values, set } = useFormAround()
  return (
    <Around
      name={name}
      label={label}
      hint={hint}
      width="wide"
      control={props => (
        <textarea
          {...props}
          rows={rows}
          placeholder={placeholder}
          value={String(values[name] ?? '')}
          onInput={event => set(name, event.currentTarget.value)}
          spellcheck={false}
        />
      )}
    />
  )
}

type ChoiceProps = Props & { readonly choices: readonly (readonly [value: string, text: string])[] }

/** One of some values. */
export function ChoiceField({ name, label, hint, choices }: ChoiceProps) {
  const { values, set } = useFormAround()
  return (
    <Around
      name={name}
      label={label}
      hint={hint}
      control={props => (
        <select {...props} value={String(values[name] ?? '')} onChange={event => set(name, event.currentTarget.value)}>
          {choices.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    />
  )
}

/** Yes or no. */
export function CheckField({ name, label, hint }: Props) {
  const id = useId()
  const { values, set } = useFormAround()
  return (
    <div class="field check">
      <input
        type="checkbox"
        id={id}
        name={name}
        checked={values[name] === true}
        aria-describedby={hint === undefined ? undefined : `${id}-about`}
        onChange={event => set(name, event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-about`} class="faint field-about">
          {hint}
        </p>
      )}
    </div>
  )
}

/** A group of fields in columns. */
export function Fields({ children }: { children: ComponentChildren }) {
  return <div class="fields">{children}</div>
}
