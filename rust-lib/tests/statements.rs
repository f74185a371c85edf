//! A statement with one byte changed, or a record dropped, doubled or moved, is refused, and so is what the node itself signed wrongly: with
//! the reason and the record that are wrong.
#![cfg(feature = "ed25519")]

mod common;
use common::signer::Signer;
use common::Noise;
use flow402_core::merkle::{leaf_hash, root};
use flow402_core::statement::{verify_statement, Fault, Refusal, StatementCheck};

const BILL: usize = 176;
const RECORD: usize = 93;
/// The signature and the root.
const END: usize = 96;

/// A good statement of a rental of 60 seconds for each record, one unit at 3,600 atoms an hour, so that a second costs an atom.
fn statement(records: u32) -> Vec<u8> {
    statement_written(records, |_, _| {})
}

/// The same by a node that writes each record (by its number) as it likes, before it is chained and signed.
fn statement_written(records: u32, mut write: impl FnMut(u32, &mut [u8])) -> Vec<u8> {
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
        write(seq, &mut record);
        before = leaf_hash(&record);
        all.extend(&record);
        leaves.push(record);
    }
    all.extend(signer.sign(&before));
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

fn found(statement: &[u8]) -> (Fault, u32) {
    let refused = refusal(statement);
    at(refused.fault, refused.record)
}

#[test]
fn every_flipped_bit_of_every_byte_is_refused_in_its_place() {
    let good = statement(4);
    assert_eq!(verify_statement(&good).map(|accepted| accepted.records), Ok(4));
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[byte] ^= 1 << bit;
            let refused = found(&changed);
            let expected = match byte.checked_sub(BILL).map(|offset| offset / RECORD) {
                None => {
                    assert_ne!(refused.0, Fault::Time);
                    continue;
                }
                Some(index @ 0..3) => at(Fault::Chain, index as u32 + 1),
                Some(_) if byte < good.len() - 32 => at(Fault::Signature, 4),
                Some(_) => at(Fault::Root, 0),
            };
            assert_eq!(refused, expected, "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn what_the_node_itself_signed_wrongly_is_the_record_s_own_fault() {
    // Where a byte is changed, by which bits, and what that is called.
    let cases: [(usize, u8, Fault); 12] = [
        (0, 1, Fault::RecordMalformed),
        (3, 1, Fault::RecordMalformed),
        (53, 0x20, Fault::RecordMalformed),
        (60, 2, Fault::RecordMalformed),
        (4, 1, Fault::RecordForeign),
        (35, 0x80, Fault::RecordForeign),
        (39, 2, Fault::RecordForeign),
        (40, 1, Fault::Sequence),
        (43, 1, Fault::Sequence),
        (44, 1, Fault::Time),
        (47, 1, Fault::Time),
        // Beyond ten years.
        (48, 0x20, Fault::Time),
    ];
    for (offset, bits, fault) in cases {
        for wrong in 1..=4 {
            let signed = statement_written(4, |seq, record| {
                if seq == wrong {
                    record[offset] ^= bits;
                }
                // What comes later is wrong, too, and does not matter.
                if seq > wrong {
                    record[3] = 9;
                }
            });
            assert_eq!(found(&signed), at(fault, wrong), "byte {offset} of record {wrong}");
        }
    }
    // toSecond may be fromSecond, and not one less.
    for (to_second, expected) in [(60u32, at(Fault::Time, 3)), (59, at(Fault::Time, 2))] {
        let signed = statement_written(4, |seq, record| {
            if seq == 2 {
                record[48..52].copy_from_slice(&to_second.to_be_bytes());
            }
        });
        assert_eq!(found(&signed), expected);
    }
}

#[test]
fn within_a_record_the_first_line_decides() {
    let lines = [(0, Fault::RecordMalformed), (20, Fault::RecordForeign), (40, Fault::Sequence), (44, Fault::Time)];
    for from in 0..lines.len() {
        let signed = statement_written(3, |seq, record| {
            for (offset, _) in &lines[from..] {
                record[*offset] ^= u8::from(seq == 2);
            }
        });
        assert_eq!(found(&signed), at(lines[from].1, 2));
    }
}

#[test]
fn nothing_follows_a_final_record_and_nothing_comes_before_the_first() {
    let early = statement_written(5, |seq, record| record[60] = u8::from(seq == 3));
    assert_eq!(found(&early), at(Fault::Sequence, 4));
    let unfinished = statement_written(5, |_, record| record[60] = 0);
    assert!(verify_statement(&unfinished).is_ok());
    for offset in [61, 76, 92] {
        let continued = statement_written(5, |seq, record| record[offset] ^= u8::from(seq == 1));
        assert_eq!(found(&continued), at(Fault::Sequence, 1));
        // Another record's name of the one before is a break, even though the node signed it.
        let broken = statement_written(5, |seq, record| record[offset] ^= u8::from(seq == 3 || seq == 2));
        assert_eq!(found(&broken), at(Fault::Chain, 2));
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
    let count = ((statement.len() - BILL - END) / RECORD) as u32;
    statement[172..176].copy_from_slice(&count.to_be_bytes());
    statement
}

#[test]
fn records_dropped_doubled_or_moved_are_found_where_they_are() {
    let good = statement(6);
    let place = |record: usize| BILL + RECORD * (record - 1)..BILL + RECORD * record;
    for record in 1..=6 {
        let number = record as u32;
        let mut dropped = good.clone();
        dropped.drain(place(record));
        let expected = match number {
            1 => at(Fault::Sequence, 1),
            6 => at(Fault::Signature, 5),
            _ => at(Fault::Chain, number - 1),
        };
        assert_eq!(found(&with_count(dropped)), expected);

        let mut doubled = good.clone();
        let copy = good[place(record)].to_vec();
        doubled.splice(place(record).end..place(record).end, copy);
        assert_eq!(found(&with_count(doubled)), at(Fault::Chain, number));

        if record < 6 {
            let mut moved = good.clone();
            moved[place(record).start..place(record + 1).end].rotate_left(RECORD);
            let expected = if record == 5 { at(Fault::Signature, 6) } else { at(Fault::Chain, number + 1) };
            assert_eq!(found(&moved), expected);
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
fn the_signature_comes_first_and_then_the_highest_break_of_the_chain() {
    let good = statement(700);
    let mut noise = Noise::new(9);
    for round in 0..60 {
        let mut changed = good.clone();
        let mut highest = 0;
        for _ in 0..1 + noise.below(3) {
            let record = 1 + noise.below(if round % 4 == 0 { 700 } else { 699 });
            changed[BILL + RECORD * (record - 1) + noise.below(RECORD)] ^= 1 << noise.below(8);
            highest = highest.max(record as u32);
        }
        if changed == good {
            continue;
        }
        let is_last = round % 5 == 0;
        let end = changed.len();
        changed[end - END + noise.below(64)] ^= u8::from(is_last);
        let expected = if is_last || highest == 700 { at(Fault::Signature, 700) } else { at(Fault::Chain, highest) };
        assert_eq!(found(&changed), expected);
    }
}

#[test]
fn of_records_wrong_in_themselves_the_lowest_decides_unless_the_chain_is_broken() {
    let mut noise = Noise::new(10);
    for _ in 0..12 {
        let wrong: Vec<(u32, usize)> = (0..3).map(|_| (2 + noise.below(699) as u32, [3, 20, 40, 44][noise.below(4)])).collect();
        let mut signed = statement_written(700, |seq, record| {
            for (_, offset) in wrong.iter().filter(|(number, _)| *number == seq) {
                record[*offset] |= 0x80;
            }
        });
        let lowest = wrong.iter().min().expect("three of them");
        let fault = match lowest.1 {
            3 => Fault::RecordMalformed,
            20 => Fault::RecordForeign,
            40 => Fault::Sequence,
            _ => Fault::Time,
        };
        assert_eq!(found(&signed), at(fault, lowest.0));
        signed[BILL + 20] ^= 1;
        assert_eq!(found(&signed), at(Fault::Chain, 1));
        signed[BILL + RECORD * 650 + 20] ^= 1;
        assert_eq!(found(&signed), at(Fault::Chain, 651));
    }
}

#[test]
fn a_long_statement_holds_in_pieces_of_any_size() {
    let good = statement(9000);
    for piece in [65_536, 10_000, 94, 93, 92] {
        let mut check = StatementCheck::new(good.len() as u64);
        for part in good.chunks(piece) {
            assert!(check.feed(part));
        }
        assert_eq!(check.finish().map(|accepted| accepted.records), Ok(9000));
    }
    // On both sides of where records are hashed together and where pieces end.
    for record in [1, 255, 256, 257, 511, 512, 513, 701, 702, 703, 704, 705, 8998, 8999, 9000] {
        let mut changed = good.clone();
        changed[BILL + RECORD * (record - 1) + 70] ^= 1;
        let fault = if record == 9000 { Fault::Signature } else { Fault::Chain };
        assert_eq!(found(&changed), at(fault, record as u32));
        let mut check = StatementCheck::new(changed.len() as u64);
        for part in changed.chunks(65_536) {
            assert!(check.feed(part));
        }
        assert_eq!(check.finish(), Err(Refusal { fault, record: record as u32, figures: None }));
    }
}

#[test]
fn a_wrong_bill_ends_the_check_at_once() {
    let good = statement(300);
    let end = good.len();
    for (change, fault) in [(0, Fault::Malformed), (175, Fault::Malformed), (103, Fault::Terms), (104, Fault::Terms), (67, Fault::NodeKey)]
    {
        let mut changed = good.clone();
        match fault {
            // No minutes; a minus zero.
            Fault::Terms if change == 103 => changed[100..104].fill(0),
            Fault::NodeKey => {
                changed[36..68].fill(0);
                changed[36] = 1;
            }
            _ => changed[change] ^= 0xff,
        }
        // The signature is wrong, too.
        changed[end - END] ^= 1;
        let mut check = StatementCheck::new(end as u64);
        assert!(check.feed(&changed[..175]));
        assert!(!check.feed(&changed[175..1000]));
        assert!(!check.feed(&changed[1000..]));
        assert_eq!(check.finish(), Err(Refusal { fault, record: 0, figures: None }));
    }
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
