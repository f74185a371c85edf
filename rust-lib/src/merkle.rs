//! The Merkle tree of RFC 6962, section 2.1, over leaves that come in any number of pieces; memory does not grow with their number.

use alloc::vec::Vec;

use crate::digests::sha256_digests;
use crate::sha256_lanes::digest_four;
use crate::{sha256, Hash};

/// Nodes that wait on a level before four pairs of them are hashed together.
const PENDING: usize = 8;
/// A tree of 2^63 leaves has no more levels.
const LEVELS: usize = 64;
/// No proof is longer.
pub const PROOF_LIMIT: usize = LEVELS;

/// The hash of a leaf: SHA-256(00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256::digest(&[&[0], leaf])
}

/// The hash of a node: SHA-256(01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256::digest(&[&[1], left, right])
}

/// The hashes of many leaves.
pub fn leaf_hashes(leaves: &[&[u8]]) -> Vec<Hash> {
    sha256_digests(Some(0), leaves)
}

/// A node of the tree: level 0 are the leaves; a node without a right brother stands for itself one level up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub level: u32,
    pub index: u64,
}

#[derive(Clone)]
struct Level {
    /// How many nodes came so far.
    count: u64,
    waiting: usize,
    nodes: [u8; 32 * PENDING],
}

/// A tree in the making. It keeps the hashes of the places that were asked for, because a proof is made of them.
#[derive(Clone)]
pub struct Tree {
    levels: Vec<Level>,
    wanted: Vec<(Place, Option<Hash>)>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::keeping(&[])
    }
}

impl Tree {
    /// A tree that will keep the hashes of these places.
    pub fn keeping(places: &[Place]) -> Self {
        Self { levels: Vec::new(), wanted: places.iter().map(|&place| (place, None)).collect() }
    }

    /// Adds leaves by their hashes.
    pub fn add_hashes(&mut self, hashes: &[Hash]) {
        for hash in hashes {
            self.add_node(0, hash);
        }
    }

    /// Adds leaves by their bytes.
    pub fn add_leaves(&mut self, leaves: &[&[u8]]) {
        self.add_hashes(&leaf_hashes(leaves));
    }

    /// How many leaves were added.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |level| level.count)
    }

    fn add_node(&mut self, level: usize, hash: &Hash) {
        if level >= LEVELS {
            return;
        }
        if self.levels.len() <= level {
            self.levels.push(Level { count: 0, waiting: 0, nodes: [0; 32 * PENDING] });
        }
        let here = &mut self.levels[level];
        if !self.wanted.is_empty() {
            let place = Place { level: level as u32, index: here.count };
            for (_, kept) in self.wanted.iter_mut().filter(|(wanted, _)| *wanted == place) {
                *kept = Some(*hash);
            }
        }
        here.count += 1;
        here.nodes[32 * here.waiting..32 * here.waiting + 32].copy_from_slice(hash);
        here.waiting += 1;
        if here.waiting == PENDING {
            here.waiting = 0;
            let pair = |index: usize| &here.nodes[64 * index..64 * index + 64];
            for parent in digest_four(Some(1), [pair(0), pair(1), pair(2), pair(3)]) {
                self.add_node(level + 1, &parent);
            }
        }
    }

    /// The root, and the hash of each wanted place in the order in which they were asked for; none if the tree has no such place.
    pub fn finish(mut self) -> (Hash, Option<Vec<Hash>>) {
        let mut root = sha256::digest(&[]);
        let mut level = 0;
        while let Some(here) = self.levels.get(level) {
            let (waiting, nodes, count) = (here.waiting, here.nodes, here.count);
            if count == 1 {
                root.copy_from_slice(&nodes[..32]);
                break;
            }
            let pairs: Vec<&[u8]> = nodes[..32 * waiting].chunks_exact(64).collect();
            for parent in sha256_digests(Some(1), &pairs) {
                self.add_node(level + 1, &parent);
            }
            if waiting % 2 == 1 {
                let mut alone = [0; 32];
                alone.copy_from_slice(&nodes[32 * (waiting - 1)..32 * waiting]);
                self.add_node(level + 1, &alone);
            }
            level += 1;
        }
        (root, self.wanted.into_iter().map(|(_, kept)| kept).collect())
    }
}

/// The Merkle tree hash of the leaves.
pub fn root(leaves: &[&[u8]]) -> Hash {
    let mut tree = Tree::default();
    tree.add_leaves(leaves);
    tree.finish().0
}
