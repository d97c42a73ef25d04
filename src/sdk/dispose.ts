/** `Symbol.dispose`. Where it is missing, programs that were compiled from `using` look for this symbol. */
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose')
