//! The check of a usage statement (docs/statement.md), which may come in pieces: the first thing that is wrong is the verdict.

use alloc::vec::Vec;

use crate::bill::{Bill, BILL_BYTES};
use crate::ed25519::{allowed_point, is_signed};
use crate::merkle::{leaf_hash, leaf_hashes, Tree};
use crate::record::{check_record, prev_hash, Before, RECORD_BYTES};
use crate::Hash;

const SIGNATURE_BYTES: usize = 64;
const ROOT_BYTES: usize = 32;
/// Records that are hashed together.
const RECORDS_AT_ONCE: usize = 256;

/// Why a statement is refused, in the order in which it is checked; the numbers are positions in statementFaults of engine.ts, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Fault {
    Malformed = 1,
    Terms,
    NodeKey,
    Signature,
    Chain,
    RecordMalformed,
    RecordForeign,
    Sequence,
    Time,
    Metered,
    Billed,
    Charge,
    Fee,
    Payout,
    Refund,
    Root,
}

/// Why and where: the record from 1, or 0 for the bill; two figures where it is figures that differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub fault: Fault,
    pub record: u32,
    pub figures: Option<(u64, u64)>,
}

/// A statement that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    pub records: u32,
    pub root: Hash,
}

/// A check under way.
pub struct StatementCheck {
    total: u64,
    seen: u64,
    /// The part of the statement that is not complete yet: the bill, a record or the end.
    part: [u8; BILL_BYTES],
    filled: usize,
    bill: Option<Bill>,
    tree: Tree,
    /// How many records came so far, and the leaf hash of the last of them.
    records: u32,
    last_leaf: Hash,
    /// The highest record so far whose leaf hash is not what the next one names.
    unchained: Option<u32>,
    /// What the next record must continue, or the lowest record that is wrong in itself.
    fields: Result<Before, Refusal>,
    /// The bill is wrong: nothing that follows is looked at.
    refusal: Option<Refusal>,
}

fn refusal(fault: Fault, record: u32) -> Refusal {
    Refusal { fault, record, figures: None }
}

/// Bytes after the records: the signature of the last one, if there is one, and the root.
fn end_bytes(record_count: u32) -> usize {
    if record_count == 0 {
        ROOT_BYTES
    } else {
        SIGNATURE_BYTES + ROOT_BYTES
    }
}

impl StatementCheck {
    /// Begins the check of a statement of so many bytes.
    pub fn new(total: u64) -> Self {
        let is_short = total < (BILL_BYTES + ROOT_BYTES) as u64;
        Self {
            total,
            seen: 0,
            part: [0; BILL_BYTES],
            filled: 0,
            bill: None,
            tree: Tree::default(),
            records: 0,
            last_leaf: [0; 32],
            unchained: None,
            fields: Ok(Before::NONE),
            refusal: is_short.then(|| refusal(Fault::Malformed, 0)),
        }
    }

    /// Takes the next bytes. Whether any more can change the verdict.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        while self.refusal.is_none() && !bytes.is_empty() {
            let left = self.bill.as_ref().map(|bill| bill.record_count - self.records);
            let is_record = left.is_some_and(|left| left > 0);
            if is_record && self.filled == 0 && bytes.len() >= RECORD_BYTES {
                bytes = self.take_records(bytes);
                continue;
            }
            let wanted = match &self.bill {
                None => BILL_BYTES,
                Some(_) if is_record => RECORD_BYTES,
                Some(bill) => end_bytes(bill.record_count),
            };
            let taken = bytes.len().min(wanted - self.filled);
            if taken == 0 {
                // The end is here and something follows.
                break;
            }
            self.part[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == wanted && left != Some(0) {
                self.filled = 0;
                let part = self.part;
                if is_record {
                    self.take_records(&part[..RECORD_BYTES]);
                } else {
                    self.take_bill(&part);
                }
            }
        }
        self.refusal.is_none()
    }

    fn take_bill(&mut self, bytes: &[u8; BILL_BYTES]) {
        let checked = Bill::read(bytes)
            .filter(|bill| {
                let records = RECORD_BYTES as u64 * u64::from(bill.record_count);
                self.total == (BILL_BYTES + end_bytes(bill.record_count)) as u64 + records
            })
            .ok_or(Fault::Malformed)
            .and_then(|bill| if bill.terms_hold() { Ok(bill) } else { Err(Fault::Terms) })
            .and_then(|bill| {
                let has_key = bill.record_count == 0 || allowed_point(&bill.node_key).is_some();
                if has_key {
                    Ok(bill)
                } else {
                    Err(Fault::NodeKey)
                }
            });
        match checked {
            Ok(bill) => {
                self.tree.add_hashes(&[leaf_hash(bytes)]);
                self.bill = Some(bill);
            }
            Err(fault) => self.refusal = Some(refusal(fault, 0)),
        }
    }

    /// Takes whole records from the beginning of the bytes, and answers the rest.
    fn take_records<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(bill) = &self.bill else { return &[] };
        let left = (bill.record_count - self.records) as usize;
        let count = (bytes.len() / RECORD_BYTES).min(left).min(RECORDS_AT_ONCE);
        let (taken, rest) = bytes.split_at(count * RECORD_BYTES);
        let leaves = leaf_hashes(&taken.chunks_exact(RECORD_BYTES).collect::<Vec<_>>());
        let records = taken.chunks_exact(RECORD_BYTES).filter_map(|record| record.try_into().ok());
        for (record, leaf) in records.zip(&leaves) {
            if self.records > 0 && prev_hash(record) != self.last_leaf {
                self.unchained = Some(self.records);
            }
            self.records += 1;
            self.last_leaf = *leaf;
            if let Ok(before) = &self.fields {
                self.fields = check_record(record, bill, before).map_err(|fault| refusal(fault, self.records));
            }
        }
        self.tree.add_hashes(&leaves);
        rest
    }

    /// The verdict on what was fed.
    pub fn finish(self) -> Result<Accepted, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        // As long as the bill says, so that all parts are whole.
        let Some(bill) = self.bill.filter(|_| self.seen == self.total) else {
            return Err(refusal(Fault::Malformed, 0));
        };
        let end = &self.part[..end_bytes(bill.record_count)];
        let (signature, root) = end.split_at(end.len() - ROOT_BYTES);
        let is_vouched = match signature.try_into() {
            Ok(signature) => is_signed(&bill.node_key, signature, &self.last_leaf),
            Err(_) => self.records == 0,
        };
        if !is_vouched {
            return Err(refusal(Fault::Signature, self.records));
        }
        if let Some(record) = self.unchained {
            return Err(refusal(Fault::Chain, record));
        }
        let last = self.fields?;
        if let Some(wrong) = bill.wrong_figure(last.to_second) {
            return Err(Refusal { fault: wrong.fault, record: 0, figures: Some((wrong.stated, wrong.computed)) });
        }
        let (computed, _) = self.tree.finish();
        if root != computed {
            return Err(refusal(Fault::Root, 0));
        }
        Ok(Accepted { records: self.records, root: computed })
    }
}

/// The verdict on a whole statement.
pub fn verify_statement(statement: &[u8]) -> Result<Accepted, Refusal> {
    let mut check = StatementCheck::new(statement.len() as u64);
    check.feed(statement);
    check.finish()
}
