//! Digests against the vectors of NIST and against each other, whatever the length and however they come.
mod common;
use common::{hex, noise};
use flow402_core::digests::{digests, Digest};
use flow402_core::sha256::{self, Sha256};
use flow402_core::sha3::{self, Sha3};

const LONG: &[u8] = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

#[test]
fn sha256_of_the_nist_examples() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (LONG, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"),
    ];
    for (message, digest) in cases {
        assert_eq!(hex(&sha256::digest(&[message])), digest);
        for hash in digests(Digest::Sha256, &[message; 5]) {
            assert_eq!(hex(&hash), digest);
        }
    }
    let million = vec![b'a'; 1_000_000];
    assert_eq!(hex(&sha256::digest(&[&million])), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#[test]
fn sha3_of_the_nist_examples() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"),
        (b"abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376"),
        (LONG, "916f6061fe879741ca6469b43971dfdb28b1a32dc36cb3254e812be27aad1d18"),
    ];
    for (message, digest) in cases {
        assert_eq!(hex(&sha3::digest(message)), digest);
        for hash in digests(Digest::Sha3, &[message; 3]) {
            assert_eq!(hex(&hash), digest);
        }
    }
    let million = vec![b'a'; 1_000_000];
    assert_eq!(hex(&sha3::digest(&million)), "5c8875ae474a3634ba4fd55ec85bffd661f32aca75c6d699d0cdcb6c115891c1");
}

#[test]
fn lanes_give_what_one_by_one_gives_at_every_length() {
    for length in 0..=300 {
        let messages: Vec<Vec<u8>> = (0..9).map(|seed| noise(length, seed + 1)).collect();
        for count in 1..=9 {
            let batch: Vec<&[u8]> = messages[..count].iter().map(Vec::as_slice).collect();
            let one: Vec<_> = batch.iter().map(|message| sha256::digest(&[message])).collect();
            assert_eq!(digests(Digest::Sha256, &batch), one, "SHA-256 of {count} messages of {length} bytes");
            let one: Vec<_> = batch.iter().map(|message| sha3::digest(message)).collect();
            assert_eq!(digests(Digest::Sha3, &batch), one, "SHA3-256 of {count} messages of {length} bytes");
        }
    }
}

#[test]
fn messages_of_different_lengths_keep_their_order() {
    let messages: Vec<Vec<u8>> = (0..257).map(|seed| noise((seed as usize * 37) % 301, seed)).collect();
    let batch: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let one: Vec<_> = batch.iter().map(|message| sha256::digest(&[message])).collect();
    assert_eq!(digests(Digest::Sha256, &batch), one);
    let one: Vec<_> = batch.iter().map(|message| sha3::digest(message)).collect();
    assert_eq!(digests(Digest::Sha3, &batch), one);
}

#[test]
fn pieces_give_the_digest_of_the_whole() {
    let message = noise(1000, 7);
    for cut in (0..1000).step_by(13) {
        let (mut sha256, mut sha3) = (Sha256::default(), Sha3::default());
        for piece in [&message[..cut], &message[cut..], &[]] {
            sha256.feed(piece);
            sha3.feed(piece);
        }
        assert_eq!(sha256.finish(), sha256::digest(&[&message]));
        assert_eq!(sha3.finish(), sha3::digest(&message));
    }
}
