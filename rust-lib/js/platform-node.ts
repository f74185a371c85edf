// What '#platform' is in Node (package.json): the primitives of node:crypto.
export { nodePrimitives as primitives } from './node-primitives.ts'
