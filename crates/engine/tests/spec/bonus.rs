//! Coupons, redeem codes, credits to begin with, referrals.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::code::{CodeTerms, CreateCodes, Redeem, RedeemCode};
use bursar_domain::command::{BonusCommand, Command};
use bursar_domain::coupon::{Benefit, Coupon, CouponTerms};
use bursar_domain::id::CodeId;
use bursar_domain::identity;
use bursar_domain::referral::{Join, Member, normalized};
use bursar_domain::welcome::{Allowance, ClaimWelcome, Welcome};

use super::clock::{moment, span, time};
use super::said::{Names, plain};
use super::words::Words;
use super::world::{Said, World};

impl World {
    pub(super) fn bonus_command(
        &mut self,
        verb: &str,
        words: &mut Words,
    ) -> Result<Command, String> {
        let asked = match verb {
            "coupon" => BonusCommand::CreateCoupon(self.coupon_terms(words)?),
            "uncoupon" => BonusCommand::DisableCoupon(words.next("a coupon")?),
            "code" => BonusCommand::CreateCodes(self.codes(words)?),
            "uncode" => {
                let id = CodeId::of_hash(&digest(&words.next("a code")?));
                BonusCommand::DisableCode(id.ok_or("no digest")?)
            }
            "redeem" => BonusCommand::Redeem(Redeem {
                user: words.user()?,
                hash: digest(&words.next("a code")?),
            }),
            "signup" | "trial" => BonusCommand::ClaimWelcome(ClaimWelcome {
                which: Welcome::parse(verb).ok_or("signup or trial")?,
                user: words.user()?,
                identity: identity_of(words),
            }),
            _ => {
                let user = words.user()?;
                let code = match verb {
                    "brought" => {
                        let name = words.next("a referral code")?;
                        let code = self.names.id(&name).unwrap_or(&name);
                        Some(normalized(code))
                    }
                    _ => None,
                };
                let identity = identity_of(words);
                BonusCommand::Join(Join {
                    user,
                    identity,
                    code,
                })
            }
        };
        Ok(Command::Bonus(asked))
    }

    fn coupon_terms(&mut self, words: &mut Words) -> Result<CouponTerms, String> {
        let code = words.next("its code")?;
        let percent = words.one_of("percent", |word| word.parse().ok())?;
        let off = words.one_of("off", money)?;
        let credits = words.one_of("credits", |word| word.parse().ok())?;
        let benefit = percent.map(Benefit::Percent).or(off.map(Benefit::Amount));
        let benefit = benefit.or(credits.map(Benefit::Credits));
        let now = self.now();
        let expires_at = words.option("expires").map(|text| moment(&text, now));
        Ok(CouponTerms {
            code,
            benefit: benefit.ok_or("percent=, off= or credits=")?,
            least_price: words.one_of("least", money)?,
            uses_max: words.one_of("uses", |word| word.parse().ok())?,
            expires_at: expires_at.transpose()?,
            note: String::new(),
        })
    }

    fn codes(&mut self, words: &mut Words) -> Result<CreateCodes, String> {
        let (secret, amount) = (words.next("a code")?, words.number("an amount")?);
        let now = self.now();
        let expires_at = words.option("expires").map(|text| moment(&text, now));
        let uses_max = words.one_of("uses", |word| word.parse().ok())?;
        Ok(CreateCodes {
            secrets: vec![(digest(&secret), secret)],
            terms: CodeTerms {
                amount: Amount::new(amount, words.unit()?),
                uses_max: uses_max.unwrap_or(1),
                expires_at: expires_at.transpose()?,
                grant_seconds: words.span("lasts")?,
                note: words.option("note").unwrap_or_default(),
            },
        })
    }

    /// What is given to begin with and for bringing others.
    pub(super) fn offer(&mut self, words: &mut Words) -> Said {
        let policy = &mut self.desk.policy;
        for (name, allowance) in [("signup", &mut policy.signup), ("trial", &mut policy.trial)] {
            if let Some(credits) = words.one_of(name, |word| word.parse().ok())? {
                let seconds = span("+30d")?;
                *allowance = Allowance { credits, seconds };
            }
        }
        for (name, credits) in [
            ("referrer", &mut policy.referral.referrer_credits),
            ("referred", &mut policy.referral.referred_credits),
        ] {
            if let Some(given) = words.one_of(name, |word| word.parse().ok())? {
                *credits = given;
            }
        }
        if let Some(least) = words.one_of("from", money)? {
            let prices = &mut policy.referral.least_prices;
            prices.insert(least.unit, least.minor);
        }
        Ok(vec![])
    }
}

/// Stands in for a digest: the same for the same text only.
fn digest(text: &str) -> String {
    let hex = text
        .bytes()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("{hex:0<64}")
}

fn identity_of(words: &mut Words) -> Option<String> {
    identity::normalized(&words.option("email")?)
}

/// `usd:500`
fn money(text: &str) -> Option<Amount> {
    let (code, minor) = text.split_once(':')?;
    Some(Amount::new(minor.parse().ok()?, Unit::currency(code)?))
}

fn end(most: Option<i64>, uses: i64, ends: [(&str, Option<String>); 2]) -> String {
    let most = most.map_or(String::new(), |most| format!(" of {most}"));
    let mut said = format!("used {uses}{most}");
    for (what, at) in ends {
        said += &at.map_or(String::new(), |at| format!(", {what} {at}"));
    }
    said
}

impl Names {
    pub(super) fn coupon(coupon: &Coupon) -> String {
        let terms = &coupon.terms;
        let benefit = match terms.benefit {
            Benefit::Percent(percent) => format!("{percent} % off"),
            Benefit::Amount(amount) => format!("{amount} off"),
            Benefit::Credits(credits) => format!("{} on top", Amount::credits(credits)),
        };
        let ends = [
            ("expires", terms.expires_at.map(time)),
            ("disabled", coupon.disabled_at.map(time)),
        ];
        let used = end(terms.uses_max, coupon.uses, ends);
        format!("{} {benefit}, {used}", terms.code)
    }

    pub(super) fn code(code: &RedeemCode) -> String {
        let ends = [
            ("expires", code.terms.expires_at.map(time)),
            ("disabled", code.disabled_at.map(time)),
        ];
        let amount = plain(code.terms.amount.minor, code.terms.amount.unit);
        let used = end(Some(code.terms.uses_max), code.uses, ends);
        format!("{} for {amount}, {used}", code.hint)
    }

    pub(super) fn member(&mut self, member: &Member) -> String {
        let mut said = vec![member.user.to_string()];
        let code = member.code.as_ref().map(|code| self.of('X', code));
        said.extend(code.map(|name| format!("has {name}")));
        let referrer = member.referrer.as_ref();
        said.extend(referrer.map(|user| format!("was brought by {user}")));
        said.extend(member.status.map(|status| status.as_str().to_owned()));
        said.join(", ")
    }
}
