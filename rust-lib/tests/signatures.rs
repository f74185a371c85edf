//! A batch gives every signature the verdict that it has alone, whatever else is in the batch.
#![cfg(feature = "ed25519")]

mod common;
use common::signer::Signer;
use common::Noise;
use curve25519_dalek::constants::EIGHT_TORSION;
use flow402_core::ed25519::{allowed_point, is_signed, Batch};

type Signed = ([u8; 32], [u8; 64], Vec<u8>);

fn flip(bytes: &mut [u8], noise: &mut Noise) {
    let bit = noise.below(8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Signatures of which about one in `spoiled` is not good, by some keys, points of mixed order among them.
fn mixture(count: usize, keys: usize, spoiled: usize, noise: &mut Noise) -> Vec<Signed> {
    let signers: Vec<Signer> = (0..keys)
        .map(|index| {
            let mut signer = Signer::new(noise.number());
            if index % 3 == 2 {
                signer.torsion = EIGHT_TORSION[noise.below(8)];
            }
            signer
        })
        .collect();
    (0..count)
        .map(|_| {
            let signer = &signers[noise.below(keys)];
            let length = noise.below(200);
            let mut message = noise.bytes(length);
            let mut signature = match noise.below(4) {
                0 => signer.sign_mixed(&message, EIGHT_TORSION[noise.below(8)]),
                _ => signer.sign(&message),
            };
            let mut key = signer.public_key();
            if noise.below(spoiled) == 0 {
                match noise.below(4) {
                    0 => flip(&mut signature[..32], noise),
                    1 => flip(&mut signature[32..], noise),
                    2 => flip(&mut key, noise),
                    _ => message.push(0),
                }
            }
            (key, signature, message)
        })
        .collect()
}

fn batch_of(signed: &[Signed]) -> Batch {
    let mut batch = Batch::default();
    for (key, signature, message) in signed {
        batch.add(key, signature, message);
    }
    batch
}

#[test]
fn a_batch_gives_the_verdicts_of_one_by_one() {
    let mut noise = Noise::new(1);
    let mut wrong = 0;
    for round in 0..120 {
        let count = [1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 70, 256][round % 12];
        let (keys, spoiled) = ([1, 3, 300][round % 3], [2, 20, 1000][round / 3 % 3]);
        let signed = mixture(count, keys, spoiled, &mut noise);
        let alone: Vec<bool> = signed.iter().map(|(key, signature, message)| is_signed(key, signature, message)).collect();
        wrong += alone.iter().filter(|is_good| !**is_good).count();
        assert_eq!(batch_of(&signed).verdicts(), alone);
    }
    assert!(wrong > 100);
}

#[test]
fn signatures_of_mixed_order_are_good_alone_and_together() {
    let mut noise = Noise::new(2);
    let mut signer = Signer::new(5);
    signer.torsion = EIGHT_TORSION[1];
    for torsion in EIGHT_TORSION {
        let message = noise.bytes(32);
        let signature = signer.sign_mixed(&message, torsion);
        assert!(is_signed(&signer.public_key(), &signature, &message));
        let signed = vec![(signer.public_key(), signature, message); 64];
        assert_eq!(batch_of(&signed).verdicts(), vec![true; 64]);
    }
}

#[test]
fn errors_that_cancel_each_other_do_not_pass_together() {
    // S of one is raised by what S of the other is lowered: their plain sum would hold.
    let signer = Signer::new(6);
    let mut signed: Vec<Signed> = (0..64u8).map(|index| (signer.public_key(), signer.sign(&[index]), vec![index])).collect();
    let scalar = |signature: &[u8; 64]| {
        let bytes: [u8; 32] = signature[32..].try_into().expect("32 bytes");
        curve25519_dalek::scalar::Scalar::from_bytes_mod_order(bytes)
    };
    let (first, second) = (scalar(&signed[3].1), scalar(&signed[9].1));
    let one = curve25519_dalek::scalar::Scalar::ONE;
    signed[3].1[32..].copy_from_slice((first + one).as_bytes());
    signed[9].1[32..].copy_from_slice((second - one).as_bytes());
    let mut expected = vec![true; 64];
    expected[3] = false;
    expected[9] = false;
    assert_eq!(batch_of(&signed).verdicts(), expected);
}

#[test]
fn points_of_small_order_and_wrong_encodings_are_refused() {
    for point in EIGHT_TORSION {
        let mut encoding = point.compress().to_bytes();
        assert!(allowed_point(&encoding).is_none());
        encoding[31] ^= 0x80;
        assert!(allowed_point(&encoding).is_none());
    }
    // y = p + 0 .. p + 18: the same points written in another way.
    for low in 0xed..=0xff {
        let mut encoding = [0xff; 32];
        encoding[0] = low;
        assert!(allowed_point(&encoding).is_none());
        encoding[31] = 0x7f;
        assert!(allowed_point(&encoding).is_none());
    }
    // S + L is another way to write S.
    let signer = Signer::new(7);
    let mut signature = signer.sign(b"");
    assert!(is_signed(&signer.public_key(), &signature, b""));
    let order = common::unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert!(!is_signed(&signer.public_key(), &signature, b""));
}

#[test]
fn an_empty_batch_has_no_verdicts() {
    assert!(Batch::default().verdicts().is_empty());
}
