/** Numeric ids of a user and its group. */
export type Owner = { readonly uid: number; readonly gid: number }

/**
 * Who an image's `USER` is (`user`, `user:group`, each a name or a number), by the image's own passwd(5) and group(5) as
 * Docker does it; root where the user is not known there. A user given by number without an entry has the group 0.
 */
export async function ownerOf(
  user: string,
  passwd: () => Promise<string>,
  group: () => Promise<string>,
): Promise<Owner> {
  const [who = '', ofGroup] = user.trim().split(':', 2)
  if (who === '' && !ofGroup) return { uid: 0, gid: 0 }
  const entry = entries(await passwd()).find(([name, , uid]) => name === who || (isId(who) && uid === who))
  const uid = isId(who) ? Number(who) : Number(entry?.[2] ?? 0)
  if (ofGroup === undefined || ofGroup === '') return { uid, gid: Number(entry?.[3] ?? 0) }
  if (isId(ofGroup)) return { uid, gid: Number(ofGroup) }
  const named = entries(await group()).find(([name]) => name === ofGroup)
  return { uid, gid: Number(named?.[2] ?? 0) }
}

const isId = (text: string): boolean => /^\d{1,10}$/.test(text)
const entries = (text: string): string[][] =>
  text
    .split('\n')
    .map(line => line.replaceAll('\0', '').split(':'))
    .filter(fields => fields.length >= 3)
