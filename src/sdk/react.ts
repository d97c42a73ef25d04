import { useEffect, useState } from 'react'
import { type SessionHooks, sessionHooks } from './hooks.ts'

export type { Grant, UsedSession } from './hooks.ts'

const hooks = sessionHooks({ useState, useEffect })

/** Keeps a page connected with a session: see `SessionHooks`. */
export const useSession: SessionHooks['useSession'] = hooks.useSession
