//! The check of a usage statement (docs/statement.md), which may come in pieces: the first thing that is wrong is the verdict.

use alloc::vec::Vec;

use crate::bill::{Bill, BILL_BYTES};
use crate::ed25519::{allowed_point, Batch};
use crate::merkle::{leaf_hash, leaf_hashes, Tree};
use crate::record::{check_record, Before, RECORD_BYTES, SIGNED_RECORD_BYTES};
use crate::Hash;

const ROOT_BYTES: usize = 32;
/// Signatures that are checked together: more are cheaper each, and take more memory (about 230 bytes each).
const SIGNATURES_AT_ONCE: usize = 4096;
/// Records that are hashed together.
const RECORDS_AT_ONCE: usize = 256;

/// Why a statement is refused, in the order in which it is checked; the numbers are positions in statementFaults of engine.ts, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Fault {
    Malformed = 1,
    Terms,
    NodeKey,
    RecordMalformed,
    RecordForeign,
    Sequence,
    Chain,
    Time,
    Signature,
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
    /// The part of the statement that is not complete yet: the bill, a record or the root.
    part: [u8; BILL_BYTES],
    filled: usize,
    bill: Option<Bill>,
    before: Before,
    tree: Tree,
    batch: Batch,
    /// The record before the first one of the batch.
    checked: u32,
    refusal: Option<Refusal>,
}

fn refusal(fault: Fault, record: u32) -> Refusal {
    Refusal { fault, record, figures: None }
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
            before: Before::NONE,
            tree: Tree::default(),
            batch: Batch::default(),
            checked: 0,
            refusal: is_short.then(|| refusal(Fault::Malformed, 0)),
        }
    }

    /// Takes the next bytes. Whether any more can change the verdict.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        while self.refusal.is_none() && !bytes.is_empty() {
            let wanted = match &self.bill {
                None => BILL_BYTES,
                Some(bill) if self.before.seq < bill.record_count => SIGNED_RECORD_BYTES,
                Some(_) => ROOT_BYTES,
            };
            let is_record = wanted == SIGNED_RECORD_BYTES;
            if is_record && self.filled == 0 && bytes.len() >= SIGNED_RECORD_BYTES {
                bytes = self.take_records(bytes);
                continue;
            }
            let taken = bytes.len().min(wanted - self.filled);
            if taken == 0 {
                // The root is here and something follows.
                break;
            }
            self.part[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == wanted && wanted != ROOT_BYTES {
                self.filled = 0;
                let part = self.part;
                if is_record {
                    self.take_records(&part[..SIGNED_RECORD_BYTES]);
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
                let records = SIGNED_RECORD_BYTES as u64 * u64::from(bill.record_count);
                self.total == (BILL_BYTES + ROOT_BYTES) as u64 + records
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
        let Some(bill) = self.bill.clone() else { return &[] };
        let left = (bill.record_count - self.before.seq) as usize;
        let count = (bytes.len() / SIGNED_RECORD_BYTES).min(left).min(RECORDS_AT_ONCE);
        let (taken, rest) = bytes.split_at(count * SIGNED_RECORD_BYTES);
        let signed: Vec<(&[u8; RECORD_BYTES], &[u8; 64])> = taken
            .chunks_exact(SIGNED_RECORD_BYTES)
            .filter_map(|pair| Some((pair[..RECORD_BYTES].try_into().ok()?, pair[RECORD_BYTES..].try_into().ok()?)))
            .collect();
        let records: Vec<&[u8]> = signed.iter().map(|(record, _)| record.as_slice()).collect();
        let leaves = leaf_hashes(&records);
        for ((record, signature), leaf) in signed.iter().zip(&leaves) {
            match check_record(record, leaf, &bill, &self.before) {
                Ok(before) => self.before = before,
                Err(fault) => {
                    let record = self.before.seq + 1;
                    // A record before this one may have a wrong signature, and then it decides.
                    self.check_signatures();
                    self.refusal.get_or_insert(refusal(fault, record));
                    return &[];
                }
            }
            self.batch.add(&bill.node_key, signature, leaf);
            if self.batch.len() == SIGNATURES_AT_ONCE {
                self.check_signatures();
                if self.refusal.is_some() {
                    return &[];
                }
            }
        }
        self.tree.add_hashes(&leaves);
        rest
    }

    fn check_signatures(&mut self) {
        let batch = core::mem::take(&mut self.batch);
        if let Some(wrong) = batch.first_wrong() {
            self.refusal = Some(refusal(Fault::Signature, self.checked + wrong as u32 + 1));
        }
        self.checked += batch.len() as u32;
    }

    /// The verdict on what was fed.
    pub fn finish(mut self) -> Result<Accepted, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let Some(bill) = self.bill.take().filter(|_| self.seen == self.total && self.filled == ROOT_BYTES) else {
            return Err(refusal(Fault::Malformed, 0));
        };
        self.check_signatures();
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if let Some(wrong) = bill.wrong_figure(self.before.to_second) {
            return Err(Refusal { fault: wrong.fault, record: 0, figures: Some((wrong.stated, wrong.computed)) });
        }
        let (root, _) = self.tree.finish();
        if self.part[..ROOT_BYTES] != root {
            return Err(refusal(Fault::Root, 0));
        }
        Ok(Accepted { records: bill.record_count, root })
    }
}

/// The verdict on a whole statement.
pub fn verify_statement(statement: &[u8]) -> Result<Accepted, Refusal> {
    let mut check = StatementCheck::new(statement.len() as u64);
    check.feed(statement);
    check.finish()
}
