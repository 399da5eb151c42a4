-- The first schema. Times are microseconds since 1970 (UTC), amounts smallest steps of a unit, JSON is opaque text.
-- Ledger rows (ledger_transaction, posting) are never updated or deleted.

-- The row of a wallet may be older than the journal: `head` says how far it goes. seal.rows_to bounds how much is missing.
CREATE TABLE account (
    number      INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    unit        TEXT    NOT NULL,
    balance     INTEGER NOT NULL,
    entries     INTEGER NOT NULL CHECK (entries >= 0),
    head        INTEGER NOT NULL,
    overdraft   INTEGER,
    frozen      INTEGER NOT NULL DEFAULT 0,
    topup_below INTEGER,
    opened_at   INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    -- Counts the times the row was written: a node compares it with what it remembers of the wallet.
    version     INTEGER NOT NULL DEFAULT 0
) STRICT;
-- The owner first: a list of all wallets is read by number, and must not be tempted to sort a whole kind.
CREATE UNIQUE INDEX account_key ON account (owner, kind, unit);

-- Ids are made of numbers. A transaction without a cause is its own.
CREATE TABLE ledger_transaction (
    number     INTEGER PRIMARY KEY,
    reason     TEXT    NOT NULL,
    cause_kind TEXT,
    cause_id   TEXT,
    at         INTEGER NOT NULL,
    note       TEXT    NOT NULL,
    reference  TEXT    NOT NULL,
    meta       TEXT    NOT NULL,
    tags       TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_transaction_cause ON ledger_transaction (cause_kind, cause_id) WHERE cause_id IS NOT NULL;

-- Each side that keeps a balance names the account's previous posting and its balance afterwards: an account's entries
-- are a chain, read from its head without an index. That accounts and transactions exist, the one writer sees to and the
-- audit checks: a foreign key would look up three rows at random places for each posting.
CREATE TABLE posting (
    number             INTEGER PRIMARY KEY,
    transaction_number INTEGER NOT NULL,
    amount             INTEGER NOT NULL CHECK (amount > 0),
    from_account       INTEGER NOT NULL,
    from_previous      INTEGER,
    from_balance       INTEGER,
    to_account         INTEGER NOT NULL,
    to_previous        INTEGER,
    to_balance         INTEGER,
    grant_number       INTEGER,
    CHECK (from_account <> to_account)
) STRICT;

-- What was committed together, each seal over the one before it (docs/ledger.md). Rows of wallets and grants miss no posting
-- up to rows_to.
CREATE TABLE seal (
    number             INTEGER PRIMARY KEY,
    account_number     INTEGER NOT NULL,
    transaction_number INTEGER NOT NULL,
    rows_to            INTEGER NOT NULL,
    hash               BLOB    NOT NULL
) STRICT;

CREATE TABLE credit_grant (
    number       INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL REFERENCES account (number),
    category     TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    priority     INTEGER NOT NULL,
    starts_at    INTEGER,
    expires_at   INTEGER,
    roll_cap     INTEGER,
    roll_seconds INTEGER,
    granted      INTEGER NOT NULL CHECK (granted > 0),
    remaining    INTEGER NOT NULL CHECK (remaining >= 0),
    announced    INTEGER NOT NULL,
    note         TEXT    NOT NULL,
    reference    TEXT    NOT NULL,
    meta         TEXT    NOT NULL,
    end_kind     TEXT,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT;
CREATE INDEX credit_grant_account ON credit_grant (account, number);
CREATE INDEX credit_grant_live ON credit_grant (account) WHERE ended_at IS NULL;
CREATE INDEX credit_grant_expiry ON credit_grant (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;

-- parts, spender and limits are JSON.
CREATE TABLE hold (
    number             INTEGER PRIMARY KEY,
    account            INTEGER NOT NULL,
    amount             INTEGER NOT NULL CHECK (amount > 0),
    progress           INTEGER NOT NULL,
    parts              TEXT    NOT NULL,
    overage            TEXT    NOT NULL,
    spender            TEXT    NOT NULL,
    limits             TEXT    NOT NULL,
    status             TEXT    NOT NULL,
    settled            INTEGER NOT NULL,
    uncovered          INTEGER NOT NULL,
    transaction_number INTEGER,
    balance            INTEGER,
    note               TEXT    NOT NULL,
    reference          TEXT    NOT NULL,
    meta               TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    ended_at           INTEGER
) STRICT;
CREATE INDEX hold_account ON hold (account, number);
CREATE INDEX hold_open ON hold (account) WHERE status = 'open';
CREATE INDEX hold_due ON hold (expires_at) WHERE status = 'open';

CREATE TABLE spending_limit (
    number       INTEGER PRIMARY KEY,
    subject_kind TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    unit         TEXT    NOT NULL,
    period       TEXT    NOT NULL,
    most         INTEGER NOT NULL CHECK (most >= 0),
    began_at     INTEGER NOT NULL,
    spent        INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX spending_limit_subject ON spending_limit (subject_kind, subject, unit, period);

-- Numbers of limits that were taken away. They are not given out again: holds remember which limits count them.
CREATE TABLE removed_limit (
    number INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE announcement (
    number  INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE TABLE usage_event (
    number   INTEGER PRIMARY KEY,
    user_id  TEXT    NOT NULL,
    service  TEXT    NOT NULL,
    variant  TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    status   TEXT    NOT NULL,
    meta     TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_event_user ON usage_event (user_id, number);

CREATE TABLE topup (
    id          TEXT    PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    credits     INTEGER NOT NULL CHECK (credits > 0),
    bonus       INTEGER NOT NULL CHECK (bonus >= 0),
    package     TEXT,
    coupon      TEXT,
    discount    INTEGER NOT NULL CHECK (discount >= 0),
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    price_unit  TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    payment_id  TEXT,
    note        TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    meta        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    paid_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX topup_user ON topup (user_id, id);

-- The value is percents, an amount off in smallest steps of value_unit, or credits on top.
CREATE TABLE coupon (
    code        TEXT    PRIMARY KEY,
    benefit     TEXT    NOT NULL,
    value       INTEGER NOT NULL CHECK (value > 0),
    value_unit  TEXT,
    least_minor INTEGER,
    least_unit  TEXT,
    uses_max    INTEGER,
    uses        INTEGER NOT NULL CHECK (uses >= 0),
    expires_at  INTEGER,
    note        TEXT    NOT NULL,
    disabled_at INTEGER,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of a code only its digest is kept.
CREATE TABLE redeem_code (
    id            TEXT    PRIMARY KEY,
    hash          TEXT    NOT NULL,
    hint          TEXT    NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    unit          TEXT    NOT NULL,
    uses_max      INTEGER NOT NULL,
    uses          INTEGER NOT NULL CHECK (uses >= 0 AND uses <= uses_max),
    expires_at    INTEGER,
    grant_seconds INTEGER,
    note          TEXT    NOT NULL,
    disabled_at   INTEGER,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What can be had once, and who has had it. Identities are digests of e-mail addresses.
CREATE TABLE perk (
    kind      TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    holder    TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    reference TEXT    NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount >= 0),
    unit      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX perk_holder ON perk (holder, at) WHERE holder <> '';

-- Who has a referral code, or was brought by one.
CREATE TABLE member (
    user_id    TEXT    PRIMARY KEY,
    code       TEXT,
    identity   TEXT,
    referrer   TEXT,
    status     TEXT,
    payment_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX member_code ON member (code) WHERE code IS NOT NULL;
CREATE INDEX member_referrer ON member (referrer) WHERE referrer IS NOT NULL;

CREATE TABLE payment (
    id              TEXT    PRIMARY KEY,
    number          INTEGER NOT NULL,
    flow            TEXT    NOT NULL,
    provider        TEXT    NOT NULL,
    topup_id        TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    amount_minor    INTEGER NOT NULL CHECK (amount_minor > 0),
    amount_unit     TEXT    NOT NULL,
    livemode        INTEGER NOT NULL,
    item_name       TEXT    NOT NULL,
    success_url     TEXT    NOT NULL,
    cancel_url      TEXT    NOT NULL,
    save_card       INTEGER NOT NULL,
    card            TEXT,
    status          TEXT    NOT NULL,
    session         TEXT,
    checkout_url    TEXT,
    intent          TEXT,
    failure_code    TEXT,
    failure_message TEXT,
    failure_advice  TEXT,
    failed_at       INTEGER,
    refunded        INTEGER NOT NULL,
    disputed        INTEGER NOT NULL,
    posted          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    paid_at         INTEGER,
    warned_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX payment_number ON payment (number);
CREATE INDEX payment_user ON payment (user_id, id);
CREATE INDEX payment_topup ON payment (topup_id, id);
CREATE UNIQUE INDEX payment_session ON payment (session) WHERE session IS NOT NULL;
CREATE UNIQUE INDEX payment_intent ON payment (intent) WHERE intent IS NOT NULL;

-- What each payment has given, and how much of it was taken back. grants is a JSON list of numbers.
CREATE TABLE award (
    payment_id TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    unit       TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    granted    INTEGER NOT NULL CHECK (granted > 0),
    taken      INTEGER NOT NULL CHECK (taken >= 0 AND taken <= granted),
    absorbed   INTEGER NOT NULL CHECK (absorbed >= 0 AND absorbed <= taken),
    grants     TEXT    NOT NULL,
    PRIMARY KEY (payment_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE refund (
    id           TEXT    PRIMARY KEY,
    payment_id   TEXT    NOT NULL,
    provider_id  TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    amount_unit  TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    failure      TEXT    NOT NULL,
    requested_by TEXT    NOT NULL,
    approved_by  TEXT    NOT NULL,
    note         TEXT    NOT NULL,
    reference    TEXT    NOT NULL,
    meta         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_payment ON refund (payment_id, id);
CREATE UNIQUE INDEX refund_provider ON refund (provider_id) WHERE provider_id IS NOT NULL;

-- movements is a JSON list: each with the provider's id of it.
CREATE TABLE dispute (
    id           TEXT    PRIMARY KEY,
    payment_id   TEXT    NOT NULL,
    amount_minor INTEGER NOT NULL,
    amount_unit  TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    movements    TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dispute_payment ON dispute (payment_id, id);

-- Who a user is at Stripe.
CREATE TABLE customer (
    user_id  TEXT    NOT NULL,
    livemode INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    PRIMARY KEY (user_id, livemode)
) STRICT, WITHOUT ROWID;

CREATE TABLE auto_topup (
    user_id      TEXT    PRIMARY KEY,
    livemode     INTEGER NOT NULL,
    enabled      INTEGER NOT NULL,
    threshold    INTEGER NOT NULL,
    refill       TEXT    NOT NULL,
    refill_size  INTEGER NOT NULL,
    period       TEXT    NOT NULL,
    topups_max   INTEGER,
    credits_max  INTEGER,
    card         TEXT    NOT NULL,
    began_at     INTEGER NOT NULL,
    topups_used  INTEGER NOT NULL,
    credits_used INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    stopped      TEXT,
    told         INTEGER NOT NULL,
    retry_at     INTEGER,
    payment_id   TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX auto_topup_armed ON auto_topup (user_id) WHERE enabled = 1 AND stopped IS NULL;

-- Single values that are remembered, such as how far a list was read.
CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stripe_event (
    number      INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    livemode    INTEGER NOT NULL,
    api_version TEXT    NOT NULL,
    object      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    payment_id  TEXT,
    waits_for   TEXT,
    received_at INTEGER NOT NULL,
    worked_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX stripe_event_id ON stripe_event (id);
CREATE INDEX stripe_event_pending ON stripe_event (number) WHERE status = 'pending';
CREATE INDEX stripe_event_waiting ON stripe_event (payment_id) WHERE status = 'waiting';
CREATE INDEX stripe_event_waits_for ON stripe_event (waits_for) WHERE waits_for IS NOT NULL;

-- Apart from its event, so that working an event off does not write its body again.
CREATE TABLE stripe_event_body (
    number INTEGER PRIMARY KEY REFERENCES stripe_event (number),
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE job (
    kind        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    run_at      INTEGER NOT NULL,
    dirty       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    lease_token INTEGER,
    lease_until INTEGER,
    last_error  TEXT    NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_due ON job (run_at);

CREATE TABLE api_key (
    id         TEXT    PRIMARY KEY,
    role       TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    hint       TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_key_hash ON api_key (hash);

-- Remembered for ever. Found by the first 8 bytes of the fingerprint, through key_page and key_run.
CREATE TABLE answer (
    number       INTEGER PRIMARY KEY,
    fingerprint  BLOB    NOT NULL,
    request_hash BLOB    NOT NULL,
    outcome      TEXT    NOT NULL,
    at           INTEGER NOT NULL
) STRICT;

-- Where the answer of an idempotency key is: sorted runs of keys, each of consecutive pages (crates/store/src/key_index.rs).
-- The state of a run is 'building', 'whole' or 'dropped'.
CREATE TABLE key_run (
    number        INTEGER PRIMARY KEY,
    level         INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    merged_into   INTEGER,
    entries       INTEGER NOT NULL CHECK (entries > 0),
    last_answer   INTEGER NOT NULL,
    first_page    INTEGER NOT NULL,
    page_bytes    INTEGER NOT NULL,
    filter_blocks INTEGER NOT NULL,
    filter_probes INTEGER NOT NULL
) STRICT;

CREATE TABLE key_page (
    number INTEGER PRIMARY KEY,
    body   BLOB    NOT NULL
) STRICT;

-- Nodes on a database server (crates/store/src/node.rs), and a counter of announcements. Empty in a file.
CREATE TABLE node (
    slot  INTEGER PRIMARY KEY,
    token INTEGER NOT NULL,
    taken INTEGER NOT NULL,
    batch INTEGER NOT NULL
) STRICT;
