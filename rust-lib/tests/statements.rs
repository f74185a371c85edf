//! A statement with one byte changed, or a record dropped, doubled or moved, is refused: with the reason and the record that are wrong.
#![cfg(feature = "ed25519")]

mod common;
use common::signer::Signer;
use common::Noise;
use flow402_core::merkle::{leaf_hash, root};
use flow402_core::statement::{verify_statement, Fault, Refusal, StatementCheck};

const BILL: usize = 176;
const PAIR: usize = 157;

/// A good statement of a rental of 60 seconds for each record, one unit at 3,600 atoms an hour, so that a second costs an atom.
fn statement(records: u32) -> Vec<u8> {
    let signer = Signer::new(1);
    let ids: Vec<u8> = (1..=32).collect();
    let seconds = 60 * records;
    let (charged, fee) = (u64::from(seconds), u64::from(seconds) * 500 / 10_000);
    let mut bill = vec![0x46, 0x34, 0x53, 0x01];
    bill.extend(&ids);
    bill.extend(signer.public_key());
    bill.extend([9; 16]);
    for number in [1u32, 1] {
        bill.extend(number.to_be_bytes());
    }
    bill.extend(3600u64.to_be_bytes());
    bill.extend(records.to_be_bytes());
    bill.extend(500u16.to_be_bytes());
    for time in [1_000_000u64, 1_000_000 + 1000 * u64::from(seconds)] {
        bill.extend(time.to_be_bytes());
    }
    bill.extend([2, 1]);
    bill.extend(seconds.to_be_bytes());
    bill.extend(seconds.to_be_bytes());
    for atoms in [charged + 7, charged, fee, charged - fee, 7] {
        bill.extend(atoms.to_be_bytes());
    }
    bill.extend(records.to_be_bytes());
    assert_eq!(bill.len(), BILL);

    let mut leaves = vec![bill.clone()];
    let mut all = bill;
    let mut before = [0; 32];
    for seq in 1..=records {
        let mut record = vec![0x46, 0x34, 0x55, 0x02];
        record.extend(&ids);
        for number in [1, seq, 60 * (seq - 1), 60 * seq] {
            record.extend(number.to_be_bytes());
        }
        record.extend((1_000_000 + u64::from(seq)).to_be_bytes());
        record.push(u8::from(seq == records));
        record.extend(before);
        before = leaf_hash(&record);
        all.extend(&record);
        all.extend(signer.sign(&before));
        leaves.push(record);
    }
    let leaves: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
    all.extend(root(&leaves));
    all
}

fn refusal(statement: &[u8]) -> Refusal {
    verify_statement(statement).expect_err("a refusal")
}

fn at(fault: Fault, record: u32) -> (Fault, u32) {
    (fault, record)
}

/// What a change of the byte at `offset` of a record must be called; the record's number is given by the caller.
fn fault_of_record_byte(offset: usize) -> Option<Fault> {
    match offset {
        0..4 => Some(Fault::RecordMalformed),
        4..40 => Some(Fault::RecordForeign),
        40..44 => Some(Fault::Sequence),
        44..48 => Some(Fault::Time),
        61..93 => Some(Fault::Chain),
        // toSecond, the hint of a clock, flags and the signature: what is found depends on the bit.
        _ => None,
    }
}

#[test]
fn every_flipped_bit_of_every_byte_is_refused_in_its_place() {
    let good = statement(4);
    assert_eq!(verify_statement(&good).map(|accepted| accepted.records), Ok(4));
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[byte] ^= 1 << bit;
            let refused = refusal(&changed);
            if !(BILL..good.len() - 32).contains(&byte) {
                assert_ne!(refused.fault, Fault::Time);
                continue;
            }
            let record = ((byte - BILL) / PAIR) as u32 + 1;
            let offset = (byte - BILL) % PAIR;
            assert_eq!(refused.record, record, "byte {offset} of record {record}: {refused:?}");
            match fault_of_record_byte(offset) {
                Some(fault) => assert_eq!(refused.fault, fault, "byte {offset}"),
                None => {
                    assert!(matches!(refused.fault, Fault::Signature | Fault::Time | Fault::RecordMalformed), "byte {offset}: {refused:?}")
                }
            }
        }
    }
}

#[test]
fn flipped_bytes_of_the_root_are_the_root() {
    let good = statement(3);
    for byte in good.len() - 32..good.len() {
        let mut changed = good.clone();
        changed[byte] ^= 0x10;
        assert_eq!(refusal(&changed), Refusal { fault: Fault::Root, record: 0, figures: None });
    }
}

fn with_count(mut statement: Vec<u8>) -> Vec<u8> {
    let count = ((statement.len() - BILL - 32) / PAIR) as u32;
    statement[172..176].copy_from_slice(&count.to_be_bytes());
    statement
}

#[test]
fn records_dropped_doubled_or_moved_are_found_where_they_are() {
    let good = statement(6);
    let pair = |record: usize| BILL + PAIR * (record - 1)..BILL + PAIR * record;
    for record in 1..=6 {
        let mut dropped = good.clone();
        dropped.drain(pair(record));
        let refused = refusal(&with_count(dropped));
        // Without the last one the seconds no longer add up; else the next one has a number too many.
        let expected = if record == 6 { at(Fault::Metered, 0) } else { at(Fault::Sequence, record as u32) };
        assert_eq!(at(refused.fault, refused.record), expected);

        let mut doubled = good.clone();
        let copy = good[pair(record)].to_vec();
        doubled.splice(pair(record).end..pair(record).end, copy);
        let refused = refusal(&with_count(doubled));
        assert_eq!(at(refused.fault, refused.record), at(Fault::Sequence, record as u32 + 1));

        if record < 6 {
            let mut moved = good.clone();
            moved[BILL + PAIR * (record - 1)..BILL + PAIR * (record + 1)].rotate_left(PAIR);
            let refused = refusal(&moved);
            assert_eq!(at(refused.fault, refused.record), at(Fault::Sequence, record as u32));
        }
    }
}

#[test]
fn prices_and_figures_changed_are_refused_with_both_figures() {
    let good = statement(5);
    // 300 seconds: 300 atoms charged, 15 of them the fee, 307 prepaid.
    let cases: [(usize, u64, Fault, u64); 7] = [
        (92, 7200, Fault::Charge, 307),
        (124, 299, Fault::Metered, 300),
        (128, 301, Fault::Billed, 300),
        (140, 301, Fault::Charge, 300),
        (148, 16, Fault::Fee, 15),
        (156, 286, Fault::Payout, 285),
        (164, 8, Fault::Refund, 7),
    ];
    for (offset, value, fault, computed) in cases {
        let mut changed = good.clone();
        if matches!(offset, 124 | 128) {
            changed[offset..offset + 4].copy_from_slice(&(value as u32).to_be_bytes());
        } else {
            changed[offset..offset + 8].copy_from_slice(&value.to_be_bytes());
        }
        let stated = if offset == 92 { 300 } else { value };
        assert_eq!(refusal(&changed), Refusal { fault, record: 0, figures: Some((stated, computed)) });
    }
}

#[test]
fn the_lowest_wrong_record_decides_however_many_are_wrong() {
    let good = statement(700);
    let mut noise = Noise::new(9);
    for _ in 0..12 {
        let mut changed = good.clone();
        let mut lowest = (u32::MAX, Fault::Root);
        for _ in 0..1 + noise.below(3) {
            let record = noise.below(700);
            // A byte of the signature or of the name of the record before.
            let (offset, fault) = if noise.below(2) == 0 { (100, Fault::Signature) } else { (70, Fault::Chain) };
            changed[BILL + PAIR * record + offset] ^= 4;
            let found = (record as u32 + 1, fault);
            // Within one record the chain comes before the signature.
            let order = |(record, fault): (u32, Fault)| (record, fault as u32);
            if order(found) < order(lowest) {
                lowest = found;
            }
        }
        let refused = refusal(&changed);
        assert_eq!((refused.record, refused.fault), lowest);
    }
}

#[test]
fn a_long_statement_holds_in_pieces_of_any_size() {
    let good = statement(9000);
    for piece in [65_536, 10_000, 158] {
        let mut check = StatementCheck::new(good.len() as u64);
        for part in good.chunks(piece) {
            assert!(check.feed(part));
        }
        assert_eq!(check.finish().map(|accepted| accepted.records), Ok(9000));
    }
    let mut changed = good.clone();
    changed[BILL + PAIR * 8998 + 93 + 63] ^= 1;
    assert_eq!(refusal(&changed), Refusal { fault: Fault::Signature, record: 8999, figures: None });
}

#[test]
fn noise_is_refused_and_nothing_breaks() {
    let mut noise = Noise::new(11);
    let good = statement(2);
    for _ in 0..3000 {
        let length = noise.below(600);
        let mut bytes = noise.bytes(length);
        assert!(verify_statement(&bytes).is_err());
        // The same behind a beginning that is right.
        let kept = noise.below(good.len()).min(bytes.len());
        bytes[..kept].copy_from_slice(&good[..kept]);
        bytes.resize(good.len(), 0);
        if bytes != good {
            assert!(verify_statement(&bytes).is_err());
        }
    }
}
