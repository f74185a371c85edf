// What '#platform' is where there is no Node (package.json), so that no page loads node:crypto.
export { noblePrimitives as primitives } from './noble-primitives.ts'
