import { type Access, isOpen } from '../model/access.ts'
import type { App } from '../model/app.ts'

/** The access rules to store in an app's document. Rules that let everybody in are stored as none, so that a front does not check them. */
export const accessOf = (said: Access | undefined): Pick<App, 'access'> => {
  if (said === undefined || isOpen(said)) return { access: undefined }
  return { access: { ...said, allow: [...new Set(said.allow)], deny: [...new Set(said.deny)] } }
}

/** Whether both apps have the same access rules. */
export const sameAccess = (one: Pick<App, 'access'>, other: Pick<App, 'access'>): boolean =>
  JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))

const sorted = ({ access }: Pick<App, 'access'>): unknown =>
  access && [
    access.allow.toSorted(),
    access.deny.toSorted(),
    access.rate,
    access.ratePerClient,
    access.https,
    access.hsts,
    access.inFlight,
    access.answerWithin,
  ]
