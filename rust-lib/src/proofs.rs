//! Proofs over a Merkle tree: that a leaf is in it, and that it begins with an older tree (RFC 6962, 2.1; RFC 9162, 2.1.3 and 2.1.4).

use alloc::vec::Vec;

use crate::merkle::{node_hash, Place};
use crate::Hash;

/// The place of the subtree over leaves [start, end).
fn place(start: u64, end: u64) -> Place {
    let length = end - start;
    let level = if length <= 1 { 0 } else { 64 - (length - 1).leading_zeros() };
    Place { level, index: start >> level }
}

/// The largest power of two below a number of at least 2.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

/// The places of which the inclusion proof of leaf `index` is made, from the leaf up. None if there is no such leaf.
pub fn inclusion_places(index: u64, size: u64) -> Option<Vec<Place>> {
    if index >= size || size > 1 << 62 {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut places = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            places.push(place(middle, end));
            end = middle;
        } else {
            places.push(place(start, middle));
            start = middle;
        }
    }
    places.reverse();
    Some(places)
}

/// The places of which the proof is made that a tree of `size` leaves begins with the tree of the first `old` ones. None unless
/// 1 <= old <= size.
pub fn consistency_places(old: u64, size: u64) -> Option<Vec<Place>> {
    if old == 0 || old > size || size > 1 << 62 {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut is_known = true;
    let mut places = Vec::new();
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            places.push(place(middle, end));
            end = middle;
        } else {
            places.push(place(start, middle));
            start = middle;
            is_known = false;
        }
    }
    if !is_known {
        places.push(place(start, end));
    }
    places.reverse();
    Some(places)
}

/// RFC 9162, 2.1.3.2: whether the leaf with this hash is leaf `index` of the tree of `size` leaves with this root.
pub fn is_included(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut first, mut second) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if second == 0 {
            return false;
        }
        if first & 1 == 1 || first == second {
            hash = node_hash(sibling, &hash);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                second >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        first >>= 1;
        second >>= 1;
    }
    second == 0 && hash == *root
}

/// RFC 9162, 2.1.4.2: whether the tree of `new_size` leaves begins with the tree of `old_size`. Equal sizes need equal roots and an
/// empty proof; an old tree of no leaf proves nothing and is refused.
pub fn is_consistent(old_size: u64, old_root: &Hash, new_size: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    let (mut first, mut second) = (old_size - 1, new_size - 1);
    while first & 1 == 1 {
        first >>= 1;
        second >>= 1;
    }
    let (seed, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        match proof.split_first() {
            Some(split) => split,
            None => return false,
        }
    };
    if rest.is_empty() {
        return false;
    }
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if second == 0 {
            return false;
        }
        if first & 1 == 1 || first == second {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                second >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        first >>= 1;
        second >>= 1;
    }
    second == 0 && old == *old_root && new == *new_root
}
