import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { type NodeObservation, type NodeState, nextNodeState, servesApps } from './node-state.ts'

const SILENT: NodeObservation = { isSilent: true, isWell: true, isDraining: false }
const WELL: NodeObservation = { isSilent: false, isWell: true, isDraining: false }
const ILL: NodeObservation = { isSilent: false, isWell: false, isDraining: false }
const DRAINING: NodeObservation = { ...WELL, isDraining: true }

describe('a node', () => {
  for (const [before, title, seen, after] of [
    [undefined, 'is well', WELL, 'healthy'],
    [undefined, 'is not well yet', ILL, 'joining'],
    [undefined, 'is silent', SILENT, 'gone'],
    ['joining', 'is well', WELL, 'healthy'],
    ['joining', 'is not well yet', ILL, 'joining'],
    ['joining', 'is silent', SILENT, 'gone'],
    ['healthy', 'is well', WELL, 'healthy'],
    ['healthy', 'has trouble', ILL, 'unhealthy'],
    ['healthy', 'is silent', SILENT, 'gone'],
    ['healthy', 'is drained', DRAINING, 'draining'],
    ['unhealthy', 'is well', WELL, 'healthy'],
    ['unhealthy', 'has trouble', ILL, 'unhealthy'],
    ['unhealthy', 'is silent', SILENT, 'gone'],
    ['draining', 'is drained', DRAINING, 'draining'],
    ['draining', 'is uncordoned', WELL, 'healthy'],
    ['draining', 'has trouble while it drains', { ...ILL, isDraining: true }, 'unhealthy'],
    ['draining', 'is silent', { ...SILENT, isDraining: true }, 'gone'],
    ['unhealthy', 'is well and was to drain meanwhile', DRAINING, 'draining'],
    ['gone', 'is silent', SILENT, 'gone'],
    ['gone', 'is back and well', WELL, 'healthy'],
    ['gone', 'is back and not well yet', ILL, 'joining'],
    ['gone', 'is back and was to drain meanwhile', DRAINING, 'draining'],
  ] as const)
    test(`that ${before === undefined ? 'was never seen' : `was ${before}`} and ${title} is ${after}`, () => {
      assert.equal(nextNodeState(before, seen), after)
    })

  test('gets requests while it is healthy or drains, and in no other state', () => {
    const states: Record<NodeState, boolean> = {
      joining: false,
      healthy: true,
      unhealthy: false,
      draining: true,
      gone: false,
    }
    for (const [state, serves] of Object.entries(states)) assert.equal(servesApps(state as NodeState), serves)
  })
})
