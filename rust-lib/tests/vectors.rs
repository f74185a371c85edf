//! Every vector of vectors.json, as any engine must pass them.
#![cfg(feature = "ed25519")]

mod common;
use common::{hex, unhex};
use flow402_core::digests::{digests, Digest};
use flow402_core::ed25519::{is_signed, Batch};
use flow402_core::merkle::{leaf_hash, root, Place, Tree};
use flow402_core::price::add_prices;
use flow402_core::proofs::{consistency_places, inclusion_places, is_consistent, is_included};
use flow402_core::statement::{verify_statement, Fault, StatementCheck};
use flow402_core::Hash;
use serde_json::{json, Value};

fn vectors(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).expect("vectors.json");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let found = all[name].as_array().unwrap_or_else(|| panic!("{name} in vectors.json")).clone();
    assert!(!found.is_empty());
    found
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    unhex(value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")))
}

fn array<const LENGTH: usize>(value: &Value, field: &str) -> [u8; LENGTH] {
    bytes(value, field).try_into().unwrap_or_else(|_| panic!("{LENGTH} bytes of {field}"))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    bytes.chunks(32).map(|hash| hash.try_into().ok()).collect()
}

#[test]
fn digest_vectors() {
    for vector in vectors("digests") {
        let digest = if vector["digest"] == "sha256" { Digest::Sha256 } else { Digest::Sha3 };
        let message = bytes(&vector, "message");
        for count in 1..=5 {
            for hash in digests(digest, &vec![message.as_slice(); count]) {
                assert_eq!(hex(&hash), vector["hash"], "{vector}");
            }
        }
    }
}

#[test]
fn signature_vectors_one_by_one_and_in_one_batch() {
    let vectors = vectors("signatures");
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for vector in &vectors {
        let (key, signature, message) = (array(vector, "publicKey"), array(vector, "signature"), bytes(vector, "message"));
        let is_good = vector["isGood"].as_bool().expect("isGood");
        assert_eq!(is_signed(&key, &signature, &message), is_good, "{}", vector["name"]);
        batch.add(&key, &signature, &message);
        expected.push(is_good);
    }
    assert_eq!(batch.verdicts(), expected);
}

#[test]
fn tree_vectors_and_their_proofs() {
    for vector in vectors("trees") {
        let all = bytes(&vector, "leaves");
        let leaves: Vec<&[u8]> = all.chunks(number(&vector, "leafBytes") as usize).collect();
        let size = number(&vector, "count");
        assert_eq!(leaves.len() as u64, size);
        assert_eq!(hex(&root(&leaves)), vector["root"]);
        let keeping = |places: Vec<Place>| {
            let mut tree = Tree::keeping(&places);
            tree.add_leaves(&leaves);
            let (_, proof) = tree.finish();
            hex(proof.expect("every place").as_flattened())
        };
        for (index, proof) in vector["inclusion"].as_array().expect("inclusion").iter().enumerate() {
            assert_eq!(keeping(inclusion_places(index as u64, size).expect("a leaf")), *proof);
        }
        for (index, proof) in vector["consistency"].as_array().expect("consistency").iter().enumerate() {
            assert_eq!(keeping(consistency_places(index as u64 + 1, size).expect("a size")), *proof);
        }
    }
}

#[test]
fn inclusion_vectors() {
    for vector in vectors("inclusions") {
        let leaf = leaf_hash(&bytes(&vector, "leaf"));
        let verdict = hashes(&bytes(&vector, "proof"))
            .is_some_and(|proof| is_included(&leaf, number(&vector, "index"), number(&vector, "size"), &proof, &array(&vector, "root")));
        assert_eq!(verdict, vector["isGood"], "{}", vector["name"]);
    }
}

#[test]
fn consistency_vectors() {
    for vector in vectors("consistencies") {
        let (old_root, new_root) = (array(&vector, "oldRoot"), array(&vector, "newRoot"));
        let (old_size, new_size) = (number(&vector, "oldSize"), number(&vector, "newSize"));
        let verdict = hashes(&bytes(&vector, "proof")).is_some_and(|proof| is_consistent(old_size, &old_root, new_size, &new_root, &proof));
        assert_eq!(verdict, vector["isGood"], "{}", vector["name"]);
    }
}

#[test]
fn price_vectors() {
    let words = |value: &Value| -> Vec<u64> {
        let texts = value.as_array().expect("numbers");
        texts.iter().map(|text| text.as_str().expect("a text").parse().expect("64 bits")).collect()
    };
    for vector in vectors("prices") {
        let pairs = words(&vector["quantities"]).into_iter().zip(words(&vector["prices"]));
        let divisor = vector["divisor"].as_str().expect("a text").parse().expect("64 bits");
        let sum = add_prices(0, pairs, divisor).map(|sum| sum.to_string());
        assert_eq!(json!(sum), vector["sum"]);
    }
}

#[test]
fn record_vectors() {
    for vector in vectors("records") {
        assert_eq!(hex(&leaf_hash(&bytes(&vector, "bytes"))), vector["leafHash"]);
    }
}

const FAULTS: [(Fault, &str); 16] = [
    (Fault::Malformed, "malformed"),
    (Fault::Terms, "terms"),
    (Fault::NodeKey, "node_key"),
    (Fault::Signature, "signature"),
    (Fault::Chain, "chain"),
    (Fault::RecordMalformed, "record_malformed"),
    (Fault::RecordForeign, "record_foreign"),
    (Fault::Sequence, "sequence"),
    (Fault::Time, "time"),
    (Fault::Metered, "metered"),
    (Fault::Billed, "billed"),
    (Fault::Charge, "charge"),
    (Fault::Fee, "fee"),
    (Fault::Payout, "payout"),
    (Fault::Refund, "refund"),
    (Fault::Root, "root"),
];

#[test]
fn statement_vectors_whole_and_in_pieces() {
    for vector in vectors("statements") {
        let statement = bytes(&vector, "statement");
        for piece in [1, 93, 100, 1000, usize::MAX] {
            let mut check = StatementCheck::new(statement.len() as u64);
            for part in statement.chunks(piece) {
                check.feed(part);
            }
            let verdict = match check.finish() {
                Ok(accepted) => json!({ "ok": true, "records": accepted.records, "root": hex(&accepted.root) }),
                Err(refusal) => {
                    let (_, fault) = FAULTS.iter().find(|(fault, _)| *fault == refusal.fault).expect("a name");
                    let mut written = json!({ "ok": false, "fault": fault, "record": refusal.record });
                    if let Some((stated, computed)) = refusal.figures {
                        written["stated"] = json!(stated.to_string());
                        written["computed"] = json!(computed.to_string());
                    }
                    written
                }
            };
            assert_eq!(verdict, vector["verdict"], "{} in pieces of {piece}", vector["name"]);
        }
    }
}

#[test]
fn a_statement_that_is_cut_off_or_goes_on_is_malformed() {
    let vector = vectors("statements").swap_remove(0);
    let statement = bytes(&vector, "statement");
    assert!(verify_statement(&statement).is_ok());
    for end in 0..statement.len() {
        assert_eq!(verify_statement(&statement[..end]).expect_err("cut off").fault, Fault::Malformed);
    }
    let longer = [statement.as_slice(), &[0]].concat();
    assert_eq!(verify_statement(&longer).expect_err("longer").fault, Fault::Malformed);
    // Fewer or more bytes than were announced.
    for fed in [statement.len() - 1, statement.len() + 1] {
        let mut check = StatementCheck::new(statement.len() as u64);
        check.feed(&longer[..fed]);
        assert_eq!(check.finish().expect_err("another length").fault, Fault::Malformed);
    }
}
