// PostgreSQL's protocol as a proxy sees it: as much of it as a test needs to break off at one statement.

/** How many statements a chunk from the client ends: simple queries (Q) and synchronised extended ones (S). */
export function statementsIn(chunk: Buffer): number {
  let count = 0
  for (let at = 0; at + 5 <= chunk.length; at += 1 + chunk.readUInt32BE(at + 1)) {
    const tag = String.fromCharCode(chunk[at] ?? 0)
    if (tag === 'Q' || tag === 'S') count++
  }
  return count
}
