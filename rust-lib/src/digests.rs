//! Digests of many messages: those that fill equally many blocks share the lanes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::sha256_lanes::{self, digest_four, Prefix};
use crate::{sha256, sha3, Hash};

/// Which digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digest {
    Sha256,
    Sha3,
}

/// The digests of the messages, in their order.
pub fn digests(digest: Digest, messages: &[&[u8]]) -> Vec<Hash> {
    match digest {
        Digest::Sha256 => sha256_digests(None, messages),
        Digest::Sha3 => sha3_digests(messages),
    }
}

/// The positions of the messages, by the blocks that each fills.
fn by_blocks(messages: &[&[u8]], blocks: impl Fn(usize) -> usize) -> BTreeMap<usize, Vec<usize>> {
    let mut alike: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, message) in messages.iter().enumerate() {
        alike.entry(blocks(message.len())).or_default().push(position);
    }
    alike
}

/// SHA-256 of up to four messages that fill equally many blocks, each with the prefix before it.
fn sha256_group(prefix: Prefix, group: &[&[u8]]) -> [Hash; 4] {
    match *group {
        [] => [[0; 32]; 4],
        [alone] => {
            let byte = prefix.map(|byte| [byte]);
            [sha256::digest(&[byte.as_ref().map_or(&[], |byte| byte), alone]); 4]
        }
        // Two or three fill the lanes with one of them again.
        [first, second] => digest_four(prefix, [first, second, first, first]),
        [first, second, third] => digest_four(prefix, [first, second, third, first]),
        [first, second, third, fourth, ..] => digest_four(prefix, [first, second, third, fourth]),
    }
}

/// SHA-256 of every message with the prefix before it.
pub(crate) fn sha256_digests(prefix: Prefix, messages: &[&[u8]]) -> Vec<Hash> {
    let blocks = |length| sha256_lanes::block_count(prefix, length);
    let mut hashes = alloc::vec![[0u8; 32]; messages.len()];
    if messages.windows(2).all(|pair| blocks(pair[0].len()) == blocks(pair[1].len())) {
        for (group, hashes) in messages.chunks(4).zip(hashes.chunks_mut(4)) {
            hashes.copy_from_slice(&sha256_group(prefix, group)[..group.len()]);
        }
        return hashes;
    }
    for positions in by_blocks(messages, blocks).values() {
        for group in positions.chunks(4) {
            let lanes: Vec<&[u8]> = group.iter().map(|&position| messages[position]).collect();
            for (&position, hash) in group.iter().zip(sha256_group(prefix, &lanes)) {
                hashes[position] = hash;
            }
        }
    }
    hashes
}

fn sha3_digests(messages: &[&[u8]]) -> Vec<Hash> {
    let mut hashes = alloc::vec![[0u8; 32]; messages.len()];
    for positions in by_blocks(messages, sha3::block_count).values() {
        for group in positions.chunks(2) {
            match *group {
                [first, second] => [hashes[first], hashes[second]] = sha3::digest_two([messages[first], messages[second]]),
                _ => hashes[group[0]] = sha3::digest(messages[group[0]]),
            }
        }
    }
    hashes
}
