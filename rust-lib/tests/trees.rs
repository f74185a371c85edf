//! The tree in pieces beside the words of RFC 6962, for every size, and proofs that hold for what they prove and nothing else.

mod common;
use common::{noise, Noise};
use flow402_core::merkle::{leaf_hash, node_hash, root, Tree};
use flow402_core::proofs::{consistency_places, inclusion_places, is_consistent, is_included};
use flow402_core::{sha256, Hash};

/// MTH of RFC 6962, section 2.1.
fn tree_hash(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256::digest(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&tree_hash(left), &tree_hash(right))
        }
    }
}

fn leaves(count: usize) -> (Vec<Vec<u8>>, Vec<Hash>) {
    let leaves: Vec<Vec<u8>> = (0..count).map(|index| noise(93 + index % 40, index as u64)).collect();
    let hashes = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    (leaves, hashes)
}

fn grown(places: &[flow402_core::merkle::Place], hashes: &[Hash], piece: usize) -> (Hash, Vec<Hash>) {
    let mut tree = Tree::keeping(places);
    for part in hashes.chunks(piece) {
        tree.add_hashes(part);
    }
    assert_eq!(tree.size(), hashes.len() as u64);
    let (root, proof) = tree.finish();
    (root, proof.expect("every place is in the tree"))
}

#[test]
fn the_root_is_that_of_the_rfc_at_every_size() {
    let (bytes, hashes) = leaves(300);
    for size in 0..=300 {
        let expected = tree_hash(&hashes[..size]);
        let messages: Vec<&[u8]> = bytes[..size].iter().map(Vec::as_slice).collect();
        assert_eq!(root(&messages), expected);
        for piece in [1, 7, 8, 64] {
            assert_eq!(grown(&[], &hashes[..size], piece).0, expected);
        }
    }
}

#[test]
fn inclusion_proofs_hold_for_their_leaf_alone() {
    let (_, hashes) = leaves(70);
    for size in 1..=70usize {
        for index in 0..size {
            let places = inclusion_places(index as u64, size as u64).expect("a leaf");
            let (root, proof) = grown(&places, &hashes[..size], 11);
            let holds = |leaf: usize, index: usize, size: usize, proof: &[Hash]| {
                is_included(&hashes[leaf], index as u64, size as u64, proof, &root)
            };
            assert!(holds(index, index, size, &proof));
            assert!(!holds((index + 1) % 70, index, size, &proof));
            for other in 0..size {
                assert!(other == index || !holds(index, other, size, &proof));
            }
            assert!(!holds(index, size, size, &proof));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!holds(index, index, size, shorter));
            }
            assert!(!holds(index, index, size, &[proof.as_slice(), &[root]].concat()));
        }
    }
    assert!(inclusion_places(0, 0).is_none());
    assert!(inclusion_places(5, 5).is_none());
}

#[test]
fn consistency_proofs_hold_for_their_two_trees_alone() {
    let (_, hashes) = leaves(66);
    for size in 1..=65usize {
        for old in 1..=size {
            let places = consistency_places(old as u64, size as u64).expect("a size");
            let (root, proof) = grown(&places, &hashes[..size], 9);
            let old_root = tree_hash(&hashes[..old]);
            let holds = |old: usize, old_root: &Hash, size: usize, root: &Hash, proof: &[Hash]| {
                is_consistent(old as u64, old_root, size as u64, root, proof)
            };
            assert!(holds(old, &old_root, size, &root, &proof));
            let mut wrong = old_root;
            wrong[0] ^= 1;
            assert!(!holds(old, &wrong, size, &root, &proof));
            assert!(!holds(old, &old_root, size, &wrong, &proof));
            assert!(!holds(old, &old_root, size, &root, &[proof.as_slice(), &[wrong]].concat()));
            for index in 0..proof.len() {
                let mut spoiled = proof.clone();
                spoiled[index][31] ^= 1;
                assert!(!holds(old, &old_root, size, &root, &spoiled));
            }
        }
    }
    assert!(consistency_places(0, 5).is_none());
    assert!(consistency_places(6, 5).is_none());
}

#[test]
fn proofs_of_noise_are_refused_and_nothing_breaks() {
    let mut noise = Noise::new(3);
    let hash = |noise: &mut Noise| -> Hash { noise.bytes(32).try_into().expect("32 bytes") };
    for _ in 0..20_000 {
        let shift = noise.below(64) as u32;
        let (first, second) = (noise.number() >> shift, noise.number() >> shift);
        let count = noise.below(70);
        let proof: Vec<Hash> = (0..count).map(|_| hash(&mut noise)).collect();
        let (left, right) = (hash(&mut noise), hash(&mut noise));
        assert!(!is_included(&left, first, second, &proof, &right));
        assert!(!is_consistent(first, &left, second, &right, &proof));
        if inclusion_places(first, second).is_some() {
            assert!(first < second);
        }
        if consistency_places(first, second).is_some() {
            assert!(first <= second && first > 0);
        }
    }
}
