//! Scripts: what happens in a run, one step a line.
//!
//! A step is a verb and two numbers. A number picks among what is there at that moment, modulo how much there is, so that any step
//! can be left out and the rest still means something; where there is nothing to pick from, nothing happens. That makes scripts easy
//! to shrink.

use std::fmt;
use std::str::FromStr;

use crate::draw::Draw;

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident = $name:literal, $weight:literal;)*) => {
        /// What a step does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb {
            $($(#[$doc])* $verb,)*
        }

        /// Every verb, its name in a script, and how often it is drawn in comparison with the others.
        const VERBS: &[(Verb, &str, u64)] = &[$((Verb::$verb, $name, $weight),)*];
    };
}

verbs! {
    /// A client asks for a top-up.
    Buy = "buy", 12;
    /// A client asks for a top-up with a package.
    BuyPackage = "buy_package", 6;
    /// The operator changes what is in packages and what they cost, and starts the service again.
    Reprice = "reprice", 2;
    /// A client asks for a checkout of a top-up.
    Checkout = "checkout", 16;
    /// A client asks for a payment intent for a top-up.
    Intent = "intent", 8;
    /// A client asks for a top-up to be paid by a saved card.
    ChargeCard = "charge_card", 8;
    /// A customer saves a card at Stripe: one that pays, or one that does not.
    SaveCard = "save_card", 6;
    /// A client asks for top-ups whenever a wallet is low.
    AutoTopup = "auto_topup", 4;
    /// A client wants no more of these.
    EndAuto = "end_auto", 1;
    /// Somebody looks for wallets that are low.
    Look = "look", 10;
    /// The product charges a user.
    Charge = "charge", 24;
    /// The product charges for many things in one request.
    Batch = "batch", 12;
    /// The product asks whether a charge would be made.
    Precheck = "precheck", 5;
    /// The product reserves credits.
    Hold = "hold", 10;
    /// The product reports how much of a hold was used.
    Progress = "progress", 4;
    /// The product reserves more, or for longer.
    Extend = "extend", 3;
    /// The product ends a hold with what it came to.
    Settle = "settle", 8;
    /// The product gives a hold back.
    Release = "release", 3;
    /// An administrator gives something else than credits, for a time.
    Gift = "gift", 6;
    /// The product takes some of that.
    Burn = "burn", 8;
    /// An administrator takes a grant of it back.
    Void = "void", 2;
    /// An administrator corrects what is in a wallet.
    Adjust = "adjust", 4;
    /// An administrator says how far a wallet may go below zero.
    Overdraft = "overdraft", 3;
    /// A user's credits become something else, or the other way round.
    Exchange = "exchange", 7;
    /// An administrator freezes a wallet, or lifts that.
    Freeze = "freeze", 4;
    /// A user asks for credits to begin with.
    Welcome = "welcome", 3;
    /// A user asks for his code to bring others, or enters one.
    Join = "join", 7;
    /// An administrator makes a redeem code.
    MakeCode = "make_code", 2;
    /// A user enters a redeem code.
    Redeem = "redeem", 4;
    /// An administrator ends a redeem code, or a coupon.
    Disable = "disable", 1;
    /// An administrator makes a coupon.
    Coupon = "coupon", 6;
    /// An administrator limits what is spent.
    Limit = "limit", 4;
    /// An administrator takes a limit away.
    Unlimit = "unlimit", 2;
    /// An administrator gives credits.
    Grant = "grant", 8;
    /// An administrator asks for a refund.
    Refund = "refund", 8;
    /// An administrator agrees to a refund, or does not.
    DecideRefund = "decide_refund", 8;
    /// An administrator gives a top-up up.
    Cancel = "cancel", 2;
    /// An administrator says that a top-up is paid.
    Finish = "finish", 2;
    /// A client sends an earlier request again, under its key.
    Retry = "retry", 14;
    /// A client sends an earlier request with another body under the same key.
    Reuse = "reuse", 2;
    /// The customer comes back from Stripe's page.
    Return = "return", 5;
    /// The customer pays by card.
    Pay = "pay", 18;
    /// The customer's card is declined.
    Decline = "decline", 3;
    /// The customer pays by a method that answers days later.
    PayDelayed = "pay_delayed", 8;
    /// The money of such a payment arrives.
    Arrive = "arrive", 8;
    /// The money of such a payment does not come.
    Bounce = "bounce", 2;
    /// A session ends unpaid.
    Expire = "expire", 2;
    /// A refund is made in Stripe's dashboard.
    RefundThere = "refund_there", 6;
    /// A refund fails, or arrives, or is called off.
    RefundTurns = "refund_turns", 5;
    /// A customer's bank takes money back.
    Dispute = "dispute", 4;
    /// A customer's bank asks about a payment.
    Inquire = "inquire", 2;
    /// A bank's question becomes a dispute.
    Escalate = "escalate", 2;
    /// A dispute is won.
    Win = "win", 3;
    /// A dispute is lost.
    Lose = "lose", 2;
    /// An event is delivered: any of them, whether or not it was delivered before.
    Deliver = "deliver", 24;
    /// The newest events are delivered, newest first.
    DeliverNewest = "deliver_newest", 24;
    /// Events that were not delivered yet will never be: all of them, or the newest.
    Drop = "drop", 6;
    /// Somebody asks Stripe for the events since the last time.
    Scan = "scan", 4;
    /// Somebody compares Stripe and the books.
    Reconcile = "reconcile", 4;
    /// What is read at Stripe is for a while what was there now.
    Behind = "behind", 4;
    /// The next readings of a worker are slow: what it sees is old.
    Slow = "slow", 6;
    /// A slow reading comes to its end.
    Seen = "seen", 12;
    /// The writer takes what is waiting, or a part of it.
    Write = "write", 90;
    /// The writer's answers to clients get lost.
    Mute = "mute", 6;
    /// The inbox works off what is stored.
    Inbox = "inbox", 40;
    /// The ticker looks for what has ended.
    Tick = "tick", 6;
    /// A node asks whether it is its turn to do what one does for all, or gives that back.
    Turn = "turn", 8;
    /// Due jobs are claimed and begin.
    Jobs = "jobs", 40;
    /// For a moment all goes well: workers work, calls are answered, the writer writes.
    Work = "work", 14;
    /// A call reaches Stripe.
    Reach = "reach", 40;
    /// Stripe's answer to a call arrives.
    Answer = "answer", 40;
    /// A call times out; it may have reached Stripe, or may still reach it.
    TimeOut = "time_out", 8;
    /// A call fails before it reaches Stripe, or Stripe does not take it.
    Fail = "fail", 5;
    /// A node dies and starts again.
    Crash = "crash", 3;
    /// A node dies in the middle of the next batch.
    DieBefore = "die_before", 4;
    /// A node dies after the next batch is on disk, before anybody is answered.
    DieAfter = "die_after", 4;
    /// The disk is full for one statement of the next batch.
    Full = "full", 3;
    /// A server ends a transaction of the next batch, as it does with one of two that wait for each other.
    Clash = "clash", 4;
    /// The connection to a server is lost at the next commit; it was done or not.
    Cut = "cut", 4;
    /// A node dies, and takes over the slot of another one when it starts again.
    Steal = "steal", 4;
    /// Time passes.
    Wait = "wait", 20;
    /// The clock of a node jumps.
    Jump = "jump", 2;
}

impl Verb {
    fn name(self) -> &'static str {
        let known = VERBS.iter().find(|(verb, _, _)| *verb == self);
        known.map_or("", |(_, name, _)| name)
    }
}

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// Which of those there are.
    pub which: u32,
    /// How much, how long, how.
    pub how: u32,
    /// At which node, where there are several.
    pub node: u32,
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What ids and faults inside a step are drawn from.
    pub seed: u64,
    /// How many nodes there are. More than one share a database server; one has a file.
    pub nodes: usize,
    /// The steps in their order.
    pub steps: Vec<Step>,
}

impl Script {
    /// The script of a seed. Each seed has its own idea of how often what happens, so that some runs are full of refunds and
    /// others never lose an answer.
    pub fn drawn(seed: u64, length: usize) -> Self {
        let mut draw = Draw::new(seed);
        let nodes = 1 + usize::from(draw.below(2) == 1);
        let without = SPECIAL.iter().filter(|_| draw.below(2) == 0);
        let without: Vec<Verb> = without.copied().flatten().copied().collect();
        let weights: Vec<u64> = VERBS
            .iter()
            .map(|(verb, _, weight)| {
                if without.contains(verb) {
                    return 0;
                }
                // Without these nothing happens at all.
                let least = u64::from(CORE.contains(verb));
                let often = [0, 1, 2, 2, 4, 8][usize::try_from(draw.below(6)).unwrap_or(1)];
                weight * least.max(often)
            })
            .collect();
        let total: u64 = weights.iter().sum();
        let steps = (0..length).map(|_| {
            let mut place = draw.below(total);
            let mut verb = Verb::Write;
            for ((known, _, _), weight) in VERBS.iter().zip(&weights) {
                if place < *weight {
                    verb = *known;
                    break;
                }
                place -= weight;
            }
            Step {
                verb,
                which: small(&mut draw),
                how: small(&mut draw),
                node: u32::try_from(draw.below(nodes as u64)).unwrap_or(0),
            }
        });
        let steps = steps.collect();
        Self { seed, nodes, steps }
    }
}

/// From 0 to 999: enough for whatever a step picks.
fn small(draw: &mut Draw) -> u32 {
    u32::try_from(draw.below(1_000)).unwrap_or(0)
}

/// What half of the runs have nothing of, group by group, so that there is enough of everything in the others.
const SPECIAL: [&[Verb]; 8] = [
    &[Verb::Batch],
    &[Verb::Exchange],
    &[Verb::BuyPackage, Verb::Reprice],
    &[Verb::Freeze],
    &[Verb::Limit, Verb::Unlimit],
    &[Verb::Gift, Verb::Burn, Verb::Void],
    &[
        Verb::Intent,
        Verb::ChargeCard,
        Verb::SaveCard,
        Verb::AutoTopup,
        Verb::EndAuto,
        Verb::Look,
    ],
    &[
        Verb::Welcome,
        Verb::Join,
        Verb::MakeCode,
        Verb::Redeem,
        Verb::Disable,
        Verb::Coupon,
    ],
];

/// What every run has some of.
const CORE: [Verb; 8] = [
    Verb::Buy,
    Verb::Checkout,
    Verb::Charge,
    Verb::Pay,
    Verb::Write,
    Verb::Inbox,
    Verb::Jobs,
    Verb::Work,
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb.name(), self.which, self.how)?;
        match self.node {
            0 => Ok(()),
            node => write!(f, " {node}"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        if self.nodes > 1 {
            writeln!(f, "nodes {}", self.nodes)?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Script {
    type Err = String;

    /// Reads what `Display` writes. Empty lines and what stands behind `#` do not count.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut seed, mut nodes, mut steps) = (0, 1, Vec::new());
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let bad = || format!("not a step: {line}");
            match words[..] {
                [] => {}
                ["seed", number] => seed = number.parse().map_err(|_| bad())?,
                ["nodes", number] => nodes = number.parse().map_err(|_| bad())?,
                [verb, which, how, ref node @ ..] if node.len() < 2 => {
                    let known = VERBS.iter().find(|(_, name, _)| *name == verb);
                    steps.push(Step {
                        verb: known.ok_or_else(bad)?.0,
                        which: which.parse().map_err(|_| bad())?,
                        how: how.parse().map_err(|_| bad())?,
                        node: node
                            .first()
                            .map_or(Ok(0), |node| node.parse())
                            .map_err(|_| bad())?,
                    });
                }
                _ => return Err(bad()),
            }
        }
        Ok(Self { seed, nodes, steps })
    }
}
