//! Commands drawn at random, of every kind that concerns wallets.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{
    Adjust, AnswerKey, ChargeAll, Command, Precheck, Reply, Request, RequestHash,
};
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::{Category, CreateGrant, RollOver, Source};
use bursar_domain::hold::{CreateHold, Overage};
use bursar_domain::id::{GrantId, HoldId, LimitId, TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_domain::usage::{RecordUsage, UsageStatus};

use super::{Books, user};

/// Numbers that look random and are the same in each run of the tests.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: i64) -> i64 {
        (self.roll() >> 1).cast_signed() % limit
    }

    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::try_from(self.below(i64::try_from(these.len()).unwrap())).unwrap()]
    }
}

/// Draws commands about things that it has seen in answers.
pub(crate) struct Roll {
    pub(crate) dice: Dice,
    /// How many users there are.
    pub(crate) users: i64,
    grants: i64,
    holds: i64,
    limits: i64,
    topups: Vec<TopupId>,
    keys: i64,
}

impl Roll {
    pub(crate) fn new(seed: u64, users: i64) -> Self {
        Self {
            dice: Dice(seed),
            users,
            grants: 0,
            holds: 0,
            limits: 0,
            topups: vec![],
            keys: 0,
        }
    }

    /// Remembers what an answer has brought about.
    pub(crate) fn hear(&mut self, reply: &Reply) {
        match reply {
            Reply::Grant(grant) => self.grants = self.grants.max(grant.id.number()),
            Reply::Hold(hold) => self.holds = self.holds.max(hold.id.number()),
            Reply::Limit(limit) => self.limits = self.limits.max(limit.id.number()),
            Reply::Topup(topup) => self.topups.push(topup.id.clone()),
            _ => {}
        }
    }

    /// Runs so many batches of three.
    pub(crate) fn fill(&mut self, books: &mut Books, batches: usize) {
        for _ in 0..batches {
            let requests: Vec<Request> = (0..3).map(|_| self.request(books.now)).collect();
            for (answer, _) in books.run(&requests).unwrap() {
                if let Ok(reply) = &answer {
                    self.hear(reply);
                }
            }
        }
    }

    fn user(&mut self) -> UserId {
        let number = self.dice.below(self.users);
        user(&format!("user-{number}"))
    }

    fn unit(&mut self) -> Unit {
        if self.dice.chance(85) {
            Unit::CREDIT
        } else {
            Unit::currency("usd").unwrap()
        }
    }

    fn remark(&mut self) -> Remark {
        Remark {
            note: self
                .dice
                .one_of(&["", "a note", "Zwölf Boxkämpfer"])
                .to_owned(),
            reference: format!("ref-{}", self.dice.below(1_000)),
            meta: self.dice.one_of(&["", r#"{"a":1}"#]).to_owned(),
        }
    }

    fn spender(&mut self) -> Spender {
        let labels = ["red", "blue"].map(str::to_owned);
        Spender {
            api_key: self.dice.chance(30).then(|| "k-1".to_owned()),
            labels: labels
                .into_iter()
                .filter(|_| self.dice.chance(20))
                .collect(),
        }
    }

    pub(crate) fn charge(&mut self) -> Charge {
        Charge {
            user: self.user(),
            unit: self.unit(),
            price: Price::Exactly(1 + self.dice.below(60)),
            allow_debt: self.dice.chance(50),
            spender: self.spender(),
            remark: self.remark(),
        }
    }

    fn grant(&mut self, now: Time) -> CreateGrant {
        let amount = Amount::new(1 + self.dice.below(200), self.unit());
        let category = self.dice.one_of(&[Category::Paid, Category::Promotional]);
        let mut terms = CreateGrant::plain(self.user(), amount, category, Source::Allowance);
        terms.priority = self.dice.below(3) * 50;
        terms.remark = self.remark();
        if self.dice.chance(60) {
            let seconds = 2 + self.dice.below(400);
            terms.expires_at = Some(now.plus_seconds(seconds));
            if self.dice.chance(20) {
                terms.starts_at = Some(now.plus_seconds(seconds / 2));
            }
            let (cap, seconds) = (1 + self.dice.below(50), 600);
            terms.roll_over = self.dice.chance(30).then_some(RollOver { cap, seconds });
        }
        terms
    }

    fn answer_key(&mut self, route: &str) -> Option<(AnswerKey, RequestHash)> {
        if self.dice.chance(40) {
            return None;
        }
        // Every third key comes a second time, and now and then for something else.
        if self.keys == 0 || self.dice.chance(66) {
            self.keys += 1;
        }
        let number = self.keys - self.dice.below(self.keys.min(40));
        let key = AnswerKey {
            principal: "admin".to_owned(),
            route: route.to_owned(),
            key: format!("K-{number}"),
        };
        let hash = u8::from(self.dice.chance(5));
        Some((key, RequestHash([hash; 16])))
    }

    pub(crate) fn request(&mut self, now: Time) -> Request {
        let command = self.command(now);
        let idempotency = match command {
            // Whoever asks a question wants to know how it is now.
            Command::ReadWallets(_) => None,
            Command::Charge(_) => self.answer_key("charge"),
            Command::ChargeAll(_) => self.answer_key("charges"),
            _ => self.answer_key("other"),
        };
        Request {
            command,
            idempotency,
        }
    }

    fn command(&mut self, now: Time) -> Command {
        match self.dice.below(100) {
            0..12 => Command::CreateGrant(self.grant(now)),
            12..14 => Command::VoidGrant {
                grant: GrantId::of(1 + self.dice.below(self.grants + 2)),
                remark: self.remark(),
            },
            14..18 => Command::Adjust(Adjust {
                user: self.user(),
                credits: self.dice.below(200) - 50,
                remark: self.remark(),
            }),
            18..24 => Command::ChargeAll(ChargeAll {
                charges: (0..=self.dice.below(4))
                    .map(|_| (self.charge(), self.answer_key("charge")))
                    .collect(),
                atomic: self.dice.chance(30),
            }),
            24..26 => Command::Precheck(Precheck {
                charge: self.charge(),
                priced: self.dice.chance(50),
            }),
            26..34 => Command::CreateHold(CreateHold {
                charge: Charge {
                    allow_debt: false,
                    ..self.charge()
                },
                seconds: Some(1 + self.dice.below(200)),
                overage: Some(
                    self.dice
                        .one_of(&[Overage::Refuse, Overage::Charge, Overage::Debt]),
                ),
            }),
            34..46 => self.hold_command(),
            46..48 => Command::SetOverdraft {
                user: self.user(),
                unit: self.unit(),
                overdraft: self.dice.one_of(&[None, Some(0), Some(100)]),
            },
            48..51 => self.exchange(),
            51..53 => self.limit(),
            53 => Command::RemoveLimit(LimitId::of(1 + self.dice.below(self.limits + 1))),
            54..57 => Command::RecordUsage(RecordUsage {
                user: self.user(),
                service: "pictures".to_owned(),
                variant: self.dice.one_of(&["", "large"]).to_owned(),
                quantity: 1 + self.dice.below(5),
                status: self
                    .dice
                    .one_of(&[UsageStatus::Success, UsageStatus::Error]),
                meta: String::new(),
            }),
            57 => Command::CreateTopup(CreateTopup {
                remark: self.remark(),
                ..CreateTopup::plain(self.user(), 50 + self.dice.below(100))
            }),
            58..60 => match self.topups.pop() {
                Some(topup) => Command::FinishTopup {
                    topup,
                    remark: self.remark(),
                },
                None => Command::ReadWallets(vec![]),
            },
            _ => Command::Charge(self.charge()),
        }
    }

    fn exchange(&mut self) -> Command {
        let (credit, usd) = (Unit::CREDIT, Unit::currency("usd").unwrap());
        let (give, get) = self
            .dice
            .one_of(&[(credit, usd), (usd, credit), (usd, usd)]);
        Command::Exchange(Exchange {
            user: self.user(),
            give: Amount::new(1 + self.dice.below(50), give),
            get: Amount::new(1 + self.dice.below(50), get),
            category: Category::Paid,
            remark: self.remark(),
        })
    }

    fn limit(&mut self) -> Command {
        let kinds = [
            (SubjectKind::User, "user-1"),
            (SubjectKind::ApiKey, "k-1"),
            (SubjectKind::Label, "red"),
        ];
        let (kind, name) = self.dice.one_of(&kinds);
        let name = name.to_owned();
        Command::SetLimit(SetLimit {
            subject: Subject { kind, name },
            most: Amount::credits(self.dice.below(500)),
            period: self
                .dice
                .one_of(&[Period::Day, Period::Month, Period::Ever]),
        })
    }

    fn hold_command(&mut self) -> Command {
        // The newer ones: most of the others have ended.
        let hold = HoldId::of((self.holds + 1 - self.dice.below(12)).max(1));
        match self.dice.below(5) {
            0 => Command::ProgressHold {
                hold,
                used: self.dice.below(60),
            },
            1 => Command::ExtendHold {
                hold,
                more: self.dice.below(30),
                seconds: self.dice.one_of(&[None, Some(300)]),
            },
            2..4 => Command::SettleHold {
                hold,
                used: self.dice.below(80),
                remark: self.remark(),
            },
            _ => Command::ReleaseHold {
                hold,
                remark: self.remark(),
            },
        }
    }
}
