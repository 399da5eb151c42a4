//! The verbs by which users, administrators and the product ask for something; they may carry an idempotency key.

use bursar_domain::amount::Unit;
use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::auto_topup::{AutoTopups, Cap, Refill, SetAutoTopup, Terms};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Adjust, AnswerKey, Command, Request, RequestHash};
use bursar_domain::id::{ApiKeyId, PaymentId, TopupId};
use bursar_domain::intent::{ChargeCard, OpenIntent};
use bursar_domain::topup::{CreateTopup, Wish};
use bursar_store::digest::request_hash;

use super::words::Words;
use super::world::{Said, World};

/// The key of a line under which its answer is remembered, if it has one.
pub(super) fn idempotency(
    words: &mut Words,
    principal: String,
    verb: &str,
) -> Option<(AnswerKey, RequestHash)> {
    let key = words.option("key")?;
    let key = AnswerKey {
        principal,
        route: verb.to_owned(),
        key,
    };
    Some((key, request_hash(words.asked.as_bytes())))
}

impl World {
    pub(super) fn ask(&mut self, verb: &str, words: &mut Words) -> Said {
        let mut principal = "admin".to_owned();
        let command = match verb {
            "topup" => {
                let user = words.user()?;
                principal = user.to_string();
                let wish = match words.option("package") {
                    Some(id) => Wish::Package(id),
                    None => Wish::Credits(words.number("credits")?),
                };
                Command::CreateTopup(CreateTopup {
                    user,
                    wish,
                    currency: words.one_of("currency", Unit::currency)?,
                    coupon: words.option("coupon"),
                    remark: words.remark(),
                })
            }
            "checkout" => {
                let (topup, user) = (self.topup_id(words)?, words.user()?);
                principal = user.to_string();
                Command::OpenCheckout(OpenCheckout {
                    topup,
                    user,
                    success_url: "https://shop.example/paid".to_owned(),
                    cancel_url: "https://shop.example/canceled".to_owned(),
                    save_card: words.option("save").is_some(),
                })
            }
            "card" | "auto" | "unauto" | "due" => self.card_command(verb, words)?,
            "intent" => {
                let (topup, user) = (self.topup_id(words)?, words.user()?);
                principal = user.to_string();
                Command::OpenIntent(OpenIntent {
                    topup,
                    user,
                    save_card: words.option("save").is_some(),
                })
            }
            "finish" => Command::FinishTopup {
                topup: self.topup_id(words)?,
                remark: words.remark(),
            },
            "cancel" => Command::CancelTopup {
                topup: self.topup_id(words)?,
                remark: words.remark(),
            },
            "add" | "sub" => {
                let (user, credits) = (words.user()?, words.number("credits")?);
                let credits = if verb == "sub" { -credits } else { credits };
                let remark = words.remark();
                Command::Adjust(Adjust {
                    user,
                    credits,
                    remark,
                })
            }
            "key" => self.issue_key(words)?,
            "revoke" => {
                let name = words.next("a key")?;
                let id = ApiKeyId::parse(self.names.id(&name)?);
                Command::RevokeKey(id.ok_or_else(|| format!("{name} is no key"))?)
            }
            _ => self.wallet_command(verb, words)?,
        };
        let idempotency = idempotency(words, principal, verb);
        let (answer, replayed) = self.desk.request(&Request {
            command,
            idempotency,
        });
        let mut said = self.names.reply(answer);
        if let (Some(first), true) = (said.first_mut(), replayed) {
            *first = format!("again: {first}");
        }
        Ok(said)
    }

    fn wallet_command(&mut self, verb: &str, words: &mut Words) -> Result<Command, String> {
        match verb {
            "grant" | "void" => self.grant_command(verb, words),
            "charge" | "batch" | "precheck" | "overdraft" => Self::charge_command(verb, words),
            "hold" | "progress" | "extend" | "settle" | "release" => self.hold_command(verb, words),
            "limit" | "unlimit" => self.limit_command(verb, words),
            "refund" | "approve" | "reject" => self.returns_command(verb, words),
            "exchange" => Self::exchange_command(words),
            "used" => Self::usage_command(words),
            "coupon" | "uncoupon" | "code" | "uncode" | "redeem" | "signup" | "trial"
            | "referral" | "brought" => self.bonus_command(verb, words),
            other => Err(format!("there is no verb {other}")),
        }
    }

    fn topup_id(&self, words: &mut Words) -> Result<TopupId, String> {
        let name = words.next("a top-up")?;
        let id = TopupId::parse(self.names.id(&name)?);
        id.ok_or_else(|| format!("{name} is no top-up"))
    }

    pub(super) fn payment_id(&self, name: &str) -> Result<PaymentId, String> {
        let id = PaymentId::parse(self.names.id(name)?);
        id.ok_or_else(|| format!("{name} is no payment"))
    }

    fn card_command(&self, verb: &str, words: &mut Words) -> Result<Command, String> {
        Ok(match verb {
            "card" => Command::ChargeCard(ChargeCard {
                topup: self.topup_id(words)?,
                user: words.user()?,
                card: words.next("a card")?,
            }),
            "auto" => set_auto(words)?,
            "unauto" => Command::EndAutoTopup(words.user()?),
            _ => Command::AutoTopups(AutoTopups {
                users: vec![words.user()?],
                read_to: None,
            }),
        })
    }

    fn issue_key(&mut self, words: &mut Words) -> Result<Command, String> {
        let role = match words.next("admin or user")?.as_str() {
            "admin" => Role::Admin,
            "user" => Role::User(words.user()?),
            other => return Err(format!("a key is for admin or user, not {other}")),
        };
        self.keys_made += 1;
        Ok(Command::IssueKey(IssueKey {
            role,
            hash: format!("{:064x}", self.keys_made),
            hint: format!("{:04x}", self.keys_made),
            label: words.next("a label")?,
        }))
    }
}

fn set_auto(words: &mut Words) -> Result<Command, String> {
    let usual = Cap::default();
    let user = words.user()?;
    let terms = Terms {
        enabled: true,
        threshold: words.number("a threshold")?,
        refill: Refill::Credits(words.number("credits")?),
        card: words.next("a card")?,
        cap: Cap {
            topups: words
                .option("most")
                .map_or(usual.topups, |most| most.parse().ok()),
            ..usual
        },
    };
    Ok(Command::SetAutoTopup(SetAutoTopup { user, terms }))
}
