//! A usage record of 93 bytes (docs/statement.md): its fields, and what must hold between them and those of the record before.

use crate::bill::Bill;
use crate::statement::Fault;

pub const RECORD_BYTES: usize = 93;
/// Where a record names the leaf hash of the one before.
const PREV_HASH_AT: usize = 61;

const MAGIC: [u8; 4] = [0x46, 0x34, 0x55, 0x02];
const MAX_SECOND: u32 = 315_360_000;

/// What the next record must continue.
#[derive(Clone, Copy)]
pub struct Before {
    pub seq: u32,
    pub to_second: u32,
    pub is_final: bool,
}

impl Before {
    /// Before the first record.
    pub const NONE: Self = Self { seq: 0, to_second: 0, is_final: false };
}

fn number(record: &[u8; RECORD_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

/// The leaf hash of the record before, as this one names it.
pub fn prev_hash(record: &[u8; RECORD_BYTES]) -> &[u8] {
    &record[PREV_HASH_AT..]
}

/// Checks the fields of a record. What the next one must continue, or the first thing that is wrong.
pub fn check_record(record: &[u8; RECORD_BYTES], bill: &Bill, before: &Before) -> Result<Before, Fault> {
    let flags = record[60];
    // Times are below 2^53.
    if record[..4] != MAGIC || flags > 1 || number(record, 52) >= 1 << 21 {
        return Err(Fault::RecordMalformed);
    }
    if record[4..36] != bill.rental_and_node || number(record, 36) != bill.epoch {
        return Err(Fault::RecordForeign);
    }
    let seq = number(record, 40);
    let names_another = before.seq == 0 && prev_hash(record) != [0; 32];
    if before.is_final || before.seq.checked_add(1) != Some(seq) || names_another {
        return Err(Fault::Sequence);
    }
    let (from_second, to_second) = (number(record, 44), number(record, 48));
    if from_second != before.to_second || to_second < from_second || to_second > MAX_SECOND {
        return Err(Fault::Time);
    }
    Ok(Before { seq, to_second, is_final: flags == 1 })
}
