//! Known bugs of this field, to be switched on one at a time: whether tests find them measures the tests.
//!
//! Without the feature `planted` none of them exists: [`is`] is a constant, and what stands behind it is not compiled into a program.
//! `just sim-bugs` builds with the feature and demands of the simulator to find each (`docs/testing.md`).

macro_rules! bugs {
    ($($bug:ident = $what:literal;)*) => {
        /// One of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $what] $bug,)*
        }

        impl Bug {
            /// All of them, and what they are.
            pub const ALL: &[(Self, &str)] = &[$((Self::$bug, $what),)*];

            /// Whether it shows only on a real server, where batches of two nodes meet in the middle.
            pub const fn needs_server(self) -> bool {
                matches!(self, Self::WalletsUnlocked | Self::RowsUnlocked)
            }
        }
    };
}

bugs! {
    CompletedIsPaid = "a session that is complete counts as paid, although its money is on its way";
    DoneBeforeEffect = "an event is marked as applied in one commit, and its effect is written in the next";
    StrictlyNewer = "an event counts only if its time is later than the last change of the payment";
    LastOneWins = "what is heard last of a payment wins over what says more";
    CreditedAgain = "every event that says paid gives the credits";
    CanceledStaysCanceled = "a payment that arrives for a canceled top-up gives nothing";
    EarlyForgotten = "an event about something that is not known yet is not taken up again";
    ReadThenWrite = "a charge is decided on the balance as it was before the batch";
    BatchHalfApplied = "what an atomic batch has charged before its first refusal stays charged";
    BatchKeysForgotten = "a charge of a batch is made again although it was made under its own idempotency key";
    OverdraftOfAll = "what was said of one wallet's debts is not asked, only what holds for all";
    HoldSpendable = "what a hold reserves can be spent by others";
    HoldExpiresInFull = "a hold that runs out is charged in full, whatever was used";
    HoldOutlivesItsTime = "a hold takes calls after its time until the ticker comes by";
    LimitForgetsHolds = "what holds reserve does not count against spending limits";
    ExpiredPays = "a grant pays for another minute after its time";
    OldestFirst = "the oldest grant is spent first, although another one expires sooner";
    RedeemedByMore = "a redeem code can be used by more users than it allows";
    RewardStays = "what was given for bringing somebody stays when the money that earned it goes back";
    WelcomeByUser = "credits to begin with are given again to another user with the same address";
    PriceOfTheDay = "a payment is opened for what a package costs now, not for what was agreed";
    BonusStays = "what comes on top of a package stays when its money goes back";
    CouponAgain = "a coupon can be used again by whoever has paid with it";
    ExchangeRemainder = "what does not divide evenly is given on top of what an exchange names";
    ExchangeUncovered = "an exchange takes what a wallet does not have, and leaves a debt";
    FrozenSpends = "a frozen wallet pays as long as something is in it";
    AnswerNotKept = "answers under idempotency keys are not written with what they answer";
    RefusalNotKept = "a refusal is not remembered under its idempotency key";
    KeyWithoutBody = "an idempotency key with another body gives the old answer";
    RefundTwice = "each event about a refund takes its credits again";
    RoundsUp = "the share of a partial refund is rounded against the customer";
    FailedRefundStands = "a refund that failed counts as one that was made";
    NothingGivenBack = "what a won dispute or a failed refund returns is not given back";
    InquiryTakes = "a bank's question takes the credits as a dispute does";
    RefundsPileUp = "refunds that are asked for and not made yet do not count towards what is left";
    ApprovedByHimself = "an administrator agrees to a refund that he has asked for";
    ApprovedTwice = "who agrees to a refund that was agreed to has it made anew";
    RefundsInSlices = "only the refund that is asked for decides whether a second administrator has to agree, not all of a payment together";
    RefundNotOwed = "a refund is decided, and the call that makes it is not owed by the same commit";
    RefundKeyPerTry = "each try to make a refund has an idempotency key of its own";
    SessionKeyPerTry = "each try to open a session has an idempotency key of its own";
    ChargeKeyPerTry = "each try to charge a saved card has an idempotency key of its own";
    ChargedWhileOpen = "a card is charged unasked while another payment for the same wallet is under way";
    CustomerTwice = "a user for whom two customers were opened is the one that was told last";
    NoFencing = "a result is taken from a worker whose claim has run out";
    ClaimTwice = "a job can be claimed while somebody has it";
    ClaimForEver = "a claim does not run out";
    MemoryBeforeDisk = "the writer's memory takes a batch over before it is on disk";
    PostingsMissed = "after a crash the postings that rows of wallets miss are not read again";
    WalletNotAsked = "a node decides on a wallet as it remembers it, whatever others have written since";
    KeyNotAsked = "a node that does not remember an idempotency key takes it for unused";
    NoLimitsRemembered = "a node that has met no spending limit goes on believing that there are none";
    AbsenceRemembered = "a node goes on believing that an account does not exist which another one has opened";
    FenceUnchecked = "a node whose slot was taken over goes on writing";
    TurnWithoutNumber = "a node that has slept goes on with a turn that is another's by now";
    SlotTwice = "two nodes take the same slot, and give out the same numbers";
    BlockBegunAgain = "a block in which a slot's last holder has given only answers is begun again by the next one";
    SeenNotFollowed = "a node numbers a posting lower than the one before it, which another node has made";
    ClaimsOfOthersVoid = "a node that starts ends the claims of those that are at work";
    WalletsUnlocked = "a node looks whether a wallet has changed, and does not keep others from changing it afterwards";
    RowsUnlocked = "a payment that another node changes meanwhile decides what is awarded, and a job is claimed by both";
    UnknownIsDone = "a commit of which the server did not say what became of it counts as done";
    StopsAtKnown = "a look at Stripe's events, newest first, ends at the first one that is known";
    UnknownIsUndone = "a commit of which the server did not say what became of it is made again";
}

/// Whether they can be switched on in this build. The program `bursar` does not compile if they can.
pub const COMPILED_IN: bool = cfg!(feature = "planted");

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Switches a bug on in this thread, and all others off.
    pub fn plant(bug: Option<Bug>) {
        ON.set(bug);
    }

    /// Whether this bug is on.
    pub fn is(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub use switch::{is, plant};

/// Whether this bug is on: never, in a program.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}
