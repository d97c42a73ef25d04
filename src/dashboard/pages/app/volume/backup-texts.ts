import { type BackupPolicy, KEEP_RULES } from '../../../../model/backup-policy.ts'
import { toMs } from '../../../../model/quantities.ts'
import { shellWords } from '../../../shell-words.ts'

type Verified = { readonly at: string } | null
export type RestoreTest = 'none' | 'good' | 'old' | 'never'

const OLD_AFTER_MS = 30 * 86_400_000

/**
 * How it stands with the last test of a backup. `none`: there is no backup. `old`: it is more than twice as old as the policy wants; without such a
 * policy, more than 30 days.
 */
export function restoreTest(
  verified: Verified,
  backups: readonly unknown[],
  policy: BackupPolicy | null,
  now: number,
): RestoreTest {
  if (backups.length === 0) return 'none'
  if (verified === null) return 'never'
  const most = policy?.verify === undefined ? OLD_AFTER_MS : 2 * toMs(policy.verify)
  return now - Date.parse(verified.at) > most ? 'old' : 'good'
}

export type PolicyTexts = Readonly<Record<string, string | boolean>>

/** The fields of a policy, by their paths in the body of `setBackupPolicy`. */
export const policyTexts = (policy: BackupPolicy | null): PolicyTexts => ({
  'policy.every': policy?.every ?? '',
  'policy.verify': policy?.verify ?? '',
  'policy.beforeDeploy': policy?.beforeDeploy ?? false,
  ...Object.fromEntries(KEEP_RULES.map(rule => [`policy.keep.${rule}`, policy?.keep[rule]?.toString() ?? ''])),
})

const textOf = (texts: PolicyTexts, name: string): string => String(texts[`policy.${name}`] ?? '').trim()
const isNone = (texts: PolicyTexts): boolean => Object.values(texts).every(value => value === false || value === '')

/** The body of `setBackupPolicy`: empty fields are no policy. */
export function policyBody(texts: PolicyTexts): { readonly policy: object | null } {
  if (isNone(texts)) return { policy: null }
  const [every, verify] = [textOf(texts, 'every'), textOf(texts, 'verify')]
  const keep = KEEP_RULES.flatMap(rule => {
    const text = textOf(texts, `keep.${rule}`)
    return text === '' ? [] : [[rule, Number.isFinite(Number(text)) ? Number(text) : text] as const]
  })
  return {
    policy: {
      ...(every !== '' && { every }),
      ...(verify !== '' && { verify }),
      beforeDeploy: texts['policy.beforeDeploy'] === true,
      keep: Object.fromEntries(keep),
    },
  }
}

/** The command that sets the same policy. `before`: what is stored, since a flag that is left out keeps what was there. */
export function policyCommand(app: string, texts: PolicyTexts, before: PolicyTexts): string {
  if (isNone(texts)) return shellWords('shadow', 'backup', 'policy', app, '--clear')
  const keeps = KEEP_RULES.flatMap(rule => {
    const text = textOf(texts, `keep.${rule}`)
    if (text !== '') return [`--keep-${rule}`, text]
    return textOf(before, `keep.${rule}`) === '' ? [] : [`--keep-${rule}`, '0']
  })
  return shellWords(
    ...['shadow', 'backup', 'policy', app],
    ...['--every', textOf(texts, 'every') || 'never'],
    ...['--verify', textOf(texts, 'verify') || 'never'],
    texts['policy.beforeDeploy'] === true ? '--before-deploy' : '--no-before-deploy',
    ...keeps,
  )
}
