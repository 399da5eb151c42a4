//! Perks: what somebody may have once. Each has a row that says so, for ever.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::time::Time;
use crate::word::words;

/// What kind of thing it is that is had once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerkKind {
    /// A coupon, by its code; each user once.
    Coupon,
    /// A redeem code, by its id; each user once.
    Code,
    /// Credits for signing up; each user once.
    Signup,
    /// The same, by what an e-mail address comes to; each address once.
    SignupIdentity,
    /// Trial credits; each user once.
    Trial,
    /// The same by e-mail address.
    TrialIdentity,
    /// To be brought by another customer, by e-mail address.
    ReferredIdentity,
}

words!(PerkKind: Coupon = "coupon", Code = "code", Signup = "signup", SignupIdentity = "signup_identity",
       Trial = "trial", TrialIdentity = "trial_identity", ReferredIdentity = "referred_identity");

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerkStatus {
    /// Kept for a payment that is not decided.
    Reserved,
    /// Had: it cannot be had again.
    Given,
    /// The payment it was kept for has ended unpaid: it can be had again.
    Freed,
}

words!(PerkStatus: Reserved = "reserved", Given = "given", Freed = "freed");

/// Names a perk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerkKey {
    /// Which kind.
    pub kind: PerkKind,
    /// Which one of its kind; empty if there is only one.
    pub subject: String,
    /// Who has it: a user; empty where the subject is what has it.
    pub holder: String,
}

impl PerkKey {
    /// The perk of this kind and subject of this holder.
    pub fn new(kind: PerkKind, subject: &str, holder: &str) -> Self {
        Self {
            kind,
            subject: subject.to_owned(),
            holder: holder.to_owned(),
        }
    }
}

/// A perk, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Perk {
    /// Its name.
    pub key: PerkKey,
    /// How it stands.
    pub status: PerkStatus,
    /// What it was for: a payment, a top-up, or the user behind an e-mail address.
    pub reference: String,
    /// How much was granted by it; 0 if that is written elsewhere.
    pub amount: Amount,
    /// When it last changed.
    pub at: Time,
}

impl Perk {
    /// One that stands so, with nothing granted by it.
    pub(crate) fn new(key: PerkKey, status: PerkStatus, reference: &str, at: Time) -> Self {
        Self {
            key,
            status,
            reference: reference.to_owned(),
            amount: Amount::credits(0),
            at,
        }
    }
}
