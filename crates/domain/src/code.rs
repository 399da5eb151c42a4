//! Redeem codes: secrets that are worth credits. Made in numbers, shown once, kept as a digest.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::amount::Amount;
use crate::attempt;
use crate::command::Context;
use crate::gift::{self, Gift};
use crate::grant::{self, AMOUNT_MAX, Grant, Source, within};
use crate::id::{CodeId, UserId};
use crate::journal::{Cause, Remark};
use crate::perk::{Perk, PerkKey, PerkKind, PerkStatus};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// Most codes made in one request.
pub const CODES_MAX: i64 = 1_000;

/// The longest a grant by a code lasts, in seconds: ten years.
pub const GRANT_SECONDS_MAX: i64 = 10 * 366 * 86_400;

/// What the codes of one request have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeTerms {
    /// What each redemption gives.
    pub amount: Amount,
    /// How many users may redeem each code.
    pub uses_max: i64,
    /// Until when they can be redeemed.
    pub expires_at: Option<Time>,
    /// For how long what is given lasts, in seconds; none: for ever.
    pub grant_seconds: Option<i64>,
    /// What the operator says about them.
    pub note: String,
}

/// A redeem code, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeemCode {
    /// Names it in lists and for disabling; made of its digest.
    pub id: CodeId,
    /// SHA-256 of the secret, hexadecimal. The secret has 120 random bits, so it needs no slow hash.
    pub hash: String,
    /// The first four and the last two characters of the secret.
    pub hint: String,
    /// Its terms.
    pub terms: CodeTerms,
    /// How many have redeemed it.
    pub uses: i64,
    /// When it was disabled.
    pub disabled_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
}

/// Codes to be made: their secrets were made and hashed outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCodes {
    /// For each the digest and the hint.
    pub secrets: Vec<(String, String)>,
    /// What they have in common.
    pub terms: CodeTerms,
}

/// A user enters a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeem {
    /// Who.
    pub user: UserId,
    /// SHA-256 of what was entered, in the form of [`normalized`].
    pub hash: String,
}

/// How many characters a code has.
pub const LENGTH: usize = 24;

/// A code as it is hashed: upper case, without dashes and blanks, letters that are easily mistaken made one. None if it has not
/// the form of a code, which is as good as unknown.
pub fn normalized(text: &str) -> Option<String> {
    let mut code = String::with_capacity(LENGTH);
    for letter in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
        code.push(match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => return None,
        });
    }
    (code.len() == LENGTH).then_some(code)
}

pub(crate) fn needs_to_create(wanted: &mut Wanted<'_>, wish: &CreateCodes) {
    for id in wish
        .secrets
        .iter()
        .filter_map(|(hash, _)| CodeId::of_hash(hash))
    {
        wanted.code(&id);
    }
}

/// Makes codes.
pub(crate) fn create(
    state: &mut State,
    context: &Context<'_>,
    wish: &CreateCodes,
) -> Result<Vec<RedeemCode>, Refusal> {
    let terms = &wish.terms;
    let count = i64::try_from(wish.secrets.len()).unwrap_or(i64::MAX);
    within("count", count, 1, CODES_MAX)?;
    within("credits", terms.amount.minor, 1, AMOUNT_MAX)?;
    within("uses_max", terms.uses_max, 1, AMOUNT_MAX)?;
    if let Some(seconds) = terms.grant_seconds {
        within("grant_expires_in", seconds, 1, GRANT_SECONDS_MAX)?;
    }
    if terms.expires_at.is_some_and(|expiry| expiry <= context.now) {
        return Err(Refusal::Misfit {
            field: "expires_at".into(),
            rule: "must be in the future".into(),
        });
    }
    let code = |(hash, hint): &(String, String)| {
        let id = CodeId::of_hash(hash)?;
        let is_new = state.codes.get(&id).is_none();
        is_new.then(|| RedeemCode {
            id,
            hash: hash.clone(),
            hint: hint.clone(),
            terms: terms.clone(),
            uses: 0,
            disabled_at: None,
            created_at: context.now,
        })
    };
    let codes: Option<Vec<RedeemCode>> = wish.secrets.iter().map(code).collect();
    // A digest of a fresh secret that is there already, or that is none: whoever made it has to do so again.
    let codes = codes.ok_or(Refusal::Unbalanced)?;
    for code in &codes {
        state.codes.insert(code.id.clone(), code.clone());
    }
    Ok(codes)
}

/// Nobody can redeem it any more. Disabling twice keeps the first time.
pub(crate) fn disable(state: &mut State, now: Time, id: &CodeId) -> Result<RedeemCode, Refusal> {
    if state.codes.get(id).is_none() {
        return Err(Refusal::CodeNotFound);
    }
    Ok(state.codes.change(id, |code| {
        code.disabled_at.get_or_insert(now);
        code.clone()
    }))
}

fn perk_key(id: &CodeId, user: &UserId) -> PerkKey {
    PerkKey::new(PerkKind::Code, id.as_str(), user.as_str())
}

fn cause(id: &CodeId, user: &UserId) -> Cause {
    Cause::new("code", &format!("{id}:{user}"))
}

pub(crate) fn needs_to_redeem(wanted: &mut Wanted<'_>, wish: &Redeem) {
    attempt::needs(wanted, &wish.user);
    let Some(id) = CodeId::of_hash(&wish.hash) else {
        return;
    };
    wanted.perk(&perk_key(&id, &wish.user));
    let Some(code) = wanted.code(&id) else {
        return;
    };
    let wallet = AccountKey::wallet_in(&wish.user, code.terms.amount.unit);
    gift::needs(wanted, &wallet, &cause(&id, &wish.user));
}

/// Whether a code can be redeemed by somebody who has not yet done so.
fn find<'a>(state: &'a State, now: Time, hash: &str) -> Option<&'a RedeemCode> {
    let code = state.codes.get(&CodeId::of_hash(hash)?)?;
    let has_expired = code.terms.expires_at.is_some_and(|expiry| expiry <= now);
    let is_good = code.hash == hash && code.disabled_at.is_none() && !has_expired;
    is_good.then_some(code)
}

/// Gives what a code is worth. A wrong one, one that has expired, one that was disabled and one that is used up look the same; each
/// counts as an attempt.
pub(crate) fn redeem(
    state: &mut State,
    context: &Context<'_>,
    wish: &Redeem,
) -> Result<Grant, Refusal> {
    let (user, now) = (&wish.user, context.now);
    attempt::check(state, now, user)?;
    let Some(code) = find(state, now, &wish.hash).cloned() else {
        attempt::failed(state, now, user);
        return Err(Refusal::CodeInvalid);
    };
    let key = perk_key(&code.id, user);
    if state.perks.get(&key).is_some() {
        return Err(Refusal::CodeRedeemed);
    }
    if code.uses >= code.terms.uses_max {
        attempt::failed(state, now, user);
        return Err(Refusal::CodeInvalid);
    }
    let gift = Gift {
        user: user.clone(),
        amount: code.terms.amount,
        source: Source::Code,
        expires_at: code
            .terms
            .grant_seconds
            .map(|seconds| now.plus_seconds(seconds)),
        cause: cause(&code.id, user),
        remark: Remark {
            note: code.terms.note.clone(),
            reference: code.id.to_string(),
            ..Remark::default()
        },
    };
    grant::check_room(state, &gift.wallet())?;
    gift.check(state)?;
    let given = gift::give(state, now, gift)?;
    state.codes.change(&code.id, |code| {
        code.uses += i64::from(!planted::is(Bug::RedeemedByMore));
    });
    let perk = Perk {
        amount: code.terms.amount,
        ..Perk::new(key.clone(), PerkStatus::Given, &given.id.to_string(), now)
    };
    state.perks.insert(key, perk);
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn a_code_may_be_entered_as_it_is_read() {
        let code = "ABCD-EFGH-0123-4567-89JK-MNP1";
        let plain = "ABCDEFGH0123456789JKMNP1";
        for text in [
            code,
            plain,
            "abcd efgh o123 4567 89jk mnpl",
            "ABCD-EFGH-0I23-4567-89JK-MNPI",
        ] {
            assert_eq!(normalized(text).as_deref(), Some(plain), "{text}");
        }
        for text in [
            "",
            "ABCD",
            "ABCD-EFGH-0123-4567-89JK-MNP12",
            "ABCD_EFGH-0123-4567-89JK-MNP1",
        ] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }
}
