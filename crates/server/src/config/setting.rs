//! The table of settings: every name the configuration knows, in one place.

/// One setting: its key in the TOML file and its name in the environment.
#[derive(Debug)]
pub struct Setting {
    /// The key in `bursar.toml`, with its section: `stripe.secret_key`.
    pub key: &'static str,
    /// The name in the environment and in `.env`.
    pub env: &'static str,
    /// Other names that are read the same way.
    pub aliases: &'static [&'static str],
    /// Whether the value must never be shown.
    pub secret: bool,
}

const fn plain(key: &'static str, env: &'static str) -> Setting {
    Setting {
        key,
        env,
        aliases: &[],
        secret: false,
    }
}

const fn secret(key: &'static str, env: &'static str) -> Setting {
    Setting {
        key,
        env,
        aliases: &[],
        secret: true,
    }
}

/// Every setting, in the order in which `bursar config` prints them.
pub const SETTINGS: &[Setting] = &[
    plain("listen", "BURSAR_LISTEN"),
    plain("data", "BURSAR_DATA"),
    secret("database_url", "DATABASE_URL"),
    Setting {
        aliases: &["DOWNCITY_CITY_BASE_URL"],
        ..plain("base_url", "BURSAR_BASE_URL")
    },
    plain("allowed_origins", "BURSAR_ALLOWED_ORIGINS"),
    plain("webhook_body_max", "BURSAR_WEBHOOK_BODY_MAX"),
    plain("log", "BURSAR_LOG"),
    plain("edge.trusted_proxies", "BURSAR_TRUSTED_PROXIES"),
    plain("edge.connections_max", "BURSAR_CONNECTIONS_MAX"),
    plain(
        "edge.connections_per_address",
        "BURSAR_CONNECTIONS_PER_ADDRESS",
    ),
    plain("edge.requests_max", "BURSAR_REQUESTS_MAX"),
    plain("rate.guest", "BURSAR_RATE_GUEST"),
    plain("rate.failure", "BURSAR_RATE_FAILURE"),
    plain("rate.user", "BURSAR_RATE_USER"),
    plain("rate.checkout", "BURSAR_RATE_CHECKOUT"),
    plain("rate.reading", "BURSAR_RATE_READING"),
    plain("rate.admin_key", "BURSAR_RATE_ADMIN_KEY"),
    secret("stripe.secret_key", "STRIPE_SECRET_KEY"),
    secret("stripe.webhook_secret", "STRIPE_WEBHOOK_SECRET"),
    plain("stripe.currency", "STRIPE_CURRENCY"),
    plain("stripe.item_name", "STRIPE_ITEM_NAME"),
    plain("stripe.api_base_url", "STRIPE_API_BASE_URL"),
    plain("stripe.success_url", "STRIPE_SUCCESS_URL"),
    plain("stripe.cancel_url", "STRIPE_CANCEL_URL"),
    plain("topup.min", "BURSAR_TOPUP_MIN"),
    plain("topup.max", "BURSAR_TOPUP_MAX"),
    plain("topup.credit_price", "BURSAR_CREDIT_PRICE"),
    plain("topup.credit_prices", "BURSAR_CREDIT_PRICES"),
    plain("topup.limits", "BURSAR_TOPUP_LIMITS"),
    plain("topup.packages", "BURSAR_PACKAGES"),
    plain("bonus.signup_credits", "BURSAR_SIGNUP_CREDITS"),
    plain("bonus.signup_days", "BURSAR_SIGNUP_DAYS"),
    plain("bonus.trial_credits", "BURSAR_TRIAL_CREDITS"),
    plain("bonus.trial_days", "BURSAR_TRIAL_DAYS"),
    plain("referral.referrer_credits", "BURSAR_REFERRER_CREDITS"),
    plain("referral.referred_credits", "BURSAR_REFERRED_CREDITS"),
    plain(
        "referral.min_price_minor",
        "BURSAR_REFERRAL_MIN_PRICE_MINOR",
    ),
    plain("referral.min_prices", "BURSAR_REFERRAL_MIN_PRICES"),
    plain("wallet.actions", "BURSAR_ACTIONS"),
    plain("wallet.overdraft", "BURSAR_OVERDRAFT"),
    plain("wallet.balance_low", "BURSAR_BALANCE_LOW"),
    plain("wallet.hold_seconds", "BURSAR_HOLD_SECONDS"),
    plain("wallet.hold_overage", "BURSAR_HOLD_OVERAGE"),
    plain("wallet.expiry_notice_days", "BURSAR_EXPIRY_NOTICE_DAYS"),
    plain("refund.spent_credit", "BURSAR_REFUND_SPENT_CREDIT"),
    plain("refund.on_fraud_warning", "BURSAR_REFUND_ON_FRAUD_WARNING"),
    plain("refund.approval_above", "BURSAR_REFUND_APPROVAL_ABOVE"),
    plain(
        "auto_topup.retry_minutes",
        "BURSAR_AUTO_TOPUP_RETRY_MINUTES",
    ),
    plain("facade.credit_price", "BURSAR_FACADE_CREDIT_PRICE"),
    plain(
        "reconcile.events_seconds",
        "BURSAR_RECONCILE_EVENTS_SECONDS",
    ),
    plain(
        "reconcile.objects_seconds",
        "BURSAR_RECONCILE_OBJECTS_SECONDS",
    ),
    plain("reconcile.max_count", "BURSAR_RECONCILE_MAX_COUNT"),
    plain("reconcile.max_amount", "BURSAR_RECONCILE_MAX_AMOUNT"),
    secret("jwt.hs256_secret", "BURSAR_JWT_HS256_SECRET"),
    plain("jwt.public_key_file", "BURSAR_JWT_PUBLIC_KEY_FILE"),
    plain("jwt.jwks_file", "BURSAR_JWT_JWKS_FILE"),
    plain("jwt.issuer", "BURSAR_JWT_ISSUER"),
    plain("jwt.audience", "BURSAR_JWT_AUDIENCE"),
];

/// The setting with this key in the TOML file.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// What an environment name asks for.
#[derive(Debug)]
pub enum Named {
    /// The value of this setting.
    Value(&'static Setting),
    /// A file with the value of this secret.
    File(&'static Setting),
    /// A name that looks like ours and is not, with the nearest one that is.
    Unknown(&'static str),
    /// Somebody else's.
    Foreign,
}

/// Names that Stripe's own CLI and web clients read, often set on the same machine.
const FOREIGN: [&str; 5] = [
    "STRIPE_API_KEY",
    "STRIPE_ACCOUNT",
    "STRIPE_CLI_",
    "STRIPE_DEVICE_NAME",
    "STRIPE_PUBLISHABLE_KEY",
];

/// Reads an environment name. Names that start with `BURSAR_` or `STRIPE_` are ours; an unknown one of these is a typing
/// mistake that would otherwise leave a default in force without a word.
pub fn by_env(name: &str) -> Named {
    for setting in SETTINGS {
        if setting.env == name || setting.aliases.contains(&name) {
            return Named::Value(setting);
        }
        if setting.secret && name.strip_suffix("_FILE") == Some(setting.env) {
            return Named::File(setting);
        }
    }
    if FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
        return Named::Foreign;
    }
    if name.starts_with("BURSAR_") || name.starts_with("STRIPE_") {
        let names = SETTINGS.iter().map(|setting| setting.env);
        return Named::Unknown(nearest(name, names));
    }
    Named::Foreign
}

/// The known key nearest to one that is unknown.
pub fn nearest_key(key: &str) -> &'static str {
    nearest(key, SETTINGS.iter().map(|setting| setting.key))
}

fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    known
        .min_by_key(|candidate| distance(name, candidate))
        .unwrap_or_default()
}

/// The number of letters to insert, drop or change to turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_neighbour() {
        assert!(matches!(
            by_env("STRIPE_SECRTE_KEY"),
            Named::Unknown("STRIPE_SECRET_KEY")
        ));
        assert!(matches!(
            by_env("BURSAR_LISTN"),
            Named::Unknown("BURSAR_LISTEN")
        ));
        assert_eq!(nearest_key("stripe.currancy"), "stripe.currency");
    }

    #[test]
    fn names_are_read_as_what_they_are() {
        assert!(matches!(by_env("DOWNCITY_CITY_BASE_URL"), Named::Value(s) if s.key == "base_url"));
        assert!(
            matches!(by_env("STRIPE_SECRET_KEY_FILE"), Named::File(s) if s.env == "STRIPE_SECRET_KEY")
        );
        assert!(matches!(by_env("STRIPE_CURRENCY_FILE"), Named::Unknown(_)));
        assert!(matches!(by_env("PATH"), Named::Foreign));
    }
}
