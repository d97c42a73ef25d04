import type { Node } from '../model/app.ts'
import type { Candidate as OfAny } from '../model/placement.ts'

export { place } from '../model/placement.ts'

/** A node as the front sees it. */
export type Candidate = OfAny<Node>
