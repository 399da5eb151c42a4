//! The configuration: read from several sources, checked as a whole, one struct.

pub mod address;
pub mod bonus;
pub mod edge;
pub mod jwt;
pub mod setting;
pub mod shop;
pub mod source;

use std::fmt::Write as _;
use std::path::PathBuf;

use bursar_domain::amount::{CreditPrice, Unit};
use bursar_domain::charge::{ActionPrice, Actions};
use bursar_domain::fraud::OnFraudWarning;
use bursar_domain::hold::{Overage, SECONDS_MAX};
use bursar_domain::reversal::SpentCredit;
use bursar_domain::text::check_name;
use bursar_engine::reconcile::Schedule;
use bursar_store::Database;
use bursar_stripe::client::{BASE_URL, Client, ClientConfig, ClientError};
use bursar_stripe::secret_key::{Mode, SecretKey};
use bursar_stripe::signature;

pub use self::address::{BaseUrl, Origin};
pub use self::bonus::BonusConfig;
pub use self::edge::EdgeConfig;
pub use self::jwt::{JwtConfig, JwtKey};
pub use self::shop::TopupConfig;
pub use self::source::{DEFAULTS, Problems, Sources, Values};
use crate::app::DATABASE;
use crate::secret::Secret;

/// Everything the server is told. Made by [`Config::load`], or from [`Values`] set by code.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: String,
    /// The folder with the database, if that is a file, and with credentials.
    pub data: PathBuf,
    /// The database.
    pub database: Database,
    /// The public address, if configured.
    pub base_url: Option<BaseUrl>,
    /// Origins besides the base URL that may be returned to.
    pub allowed_origins: Vec<Origin>,
    /// The largest webhook body that is read, in bytes.
    pub webhook_body_max: usize,
    /// Bounds on what strangers and users may do.
    pub edge: EdgeConfig,
    /// The log filter.
    pub log: String,
    /// How to reach Stripe, and what to trust from there.
    pub stripe: StripeConfig,
    /// What a purchase may be.
    pub topup: TopupConfig,
    /// What is given.
    pub bonus: BonusConfig,
    /// The part about spending.
    pub wallet: WalletConfig,
    /// What happens when money goes back.
    pub refund: RefundConfig,
    /// Automatic top-ups.
    pub auto_topup: AutoTopupConfig,
    /// What a credit costs at the facade's routes.
    pub facade_price: CreditPrice,
    /// How often what Stripe has is compared with the books.
    pub reconcile: Schedule,
    /// How user tokens are verified, if they are used.
    pub jwt: Option<JwtConfig>,
}

/// The part about Stripe.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// The API key, if configured.
    pub secret_key: Option<SecretKey>,
    /// Signing secrets of the webhook endpoint; any of them will do. Empty if none is configured.
    pub webhook_secrets: Vec<signature::Secret>,
    /// What customers pay in.
    pub currency: Unit,
    /// What the checkout page calls the thing bought.
    pub item_name: String,
    /// Where the API is, without `/v1`; `None` is Stripe itself.
    pub api_base_url: Option<String>,
    /// Where to return to after paying, if not to this server's own page.
    pub success_url: Option<String>,
    /// Where to return to after giving up, if not to this server's own page.
    pub cancel_url: Option<String>,
}

impl StripeConfig {
    /// Whether the key moves real money. `None` without a key.
    pub fn livemode(&self) -> Option<bool> {
        Some(self.secret_key.as_ref()?.mode() == Mode::Live)
    }

    /// The client that reaches Stripe; `None` without a key.
    pub fn client(&self) -> Result<Option<Client>, ClientError> {
        let Some(key) = &self.secret_key else {
            return Ok(None);
        };
        let mut config = ClientConfig::new(key.clone());
        if let Some(base) = &self.api_base_url {
            config.base_url.clone_from(base);
        }
        Client::new(&config).map(Some)
    }
}

/// The part about money that goes back.
#[derive(Debug, Clone)]
pub struct RefundConfig {
    /// What happens to credit that has been spent when its money goes back.
    pub spent_credit: SpentCredit,
    /// What an early fraud warning leads to.
    pub on_fraud_warning: OnFraudWarning,
    /// A refund of more than so much, in smallest steps of its currency, needs a second administrator.
    pub approval_above: Option<i64>,
}

/// The part about automatic top-ups.
#[derive(Debug, Clone)]
pub struct AutoTopupConfig {
    /// How long to wait after one that failed.
    pub retry_minutes: i64,
}

/// The part about spending.
#[derive(Debug, Clone)]
pub struct WalletConfig {
    /// What actions cost.
    pub actions: Actions,
    /// How far below zero a charge that may make debt can take a wallet, in credits.
    pub overdraft: i64,
    /// Falling below so many credits is announced.
    pub balance_low: i64,
    /// For how long a hold lasts, in seconds.
    pub hold_seconds: i64,
    /// What happens when more was used than a hold reserves.
    pub hold_overage: Overage,
    /// How long before its expiry a grant is announced, in days.
    pub expiry_notice_days: i64,
}

impl Config {
    /// Reads and checks everything; on failure all problems at once.
    pub fn load(sources: &Sources) -> Result<(Self, Values), Problems> {
        let (values, problems) = Values::read(sources);
        Self::check(&values, problems).map(|config| (config, values))
    }

    /// Checks values, adding to problems found while reading them.
    pub fn check(values: &Values, problems: Problems) -> Result<Self, Problems> {
        let mut reader = Reader { values, problems };
        let config = reader.config();
        match config {
            Some(config) if reader.problems.0.is_empty() => Ok(config),
            _ => Err(reader.problems),
        }
    }
}

/// A table for people: each setting, its value, where it came from. Secrets are masked.
pub fn table(values: &Values) -> String {
    let mut text = String::new();
    for setting in setting::SETTINGS {
        let (shown, origin) = match values.get(setting.key) {
            None => ("-".to_owned(), "not set"),
            Some(found) if setting.secret => (Secret::new(&found.value).hint(), &*found.origin),
            Some(found) if found.value.is_empty() => ("(none)".to_owned(), &*found.origin),
            Some(found) => (found.value.clone(), &*found.origin),
        };
        let _ = writeln!(text, "{:<24} {shown:<36} {origin}", setting.key);
    }
    text
}

struct Reader<'a> {
    values: &'a Values,
    problems: Problems,
}

impl Reader<'_> {
    /// Reads on after a problem, so that all are reported; `None` then.
    fn config(&mut self) -> Option<Config> {
        let listen = self.read("listen", listen_address);
        let data = self.read("data", |text| Ok(PathBuf::from(text)));
        let database = self.optional("database_url", |text| {
            Database::parse(text).map_err(|error| error.to_string())
        });
        let base_url = self.optional("base_url", BaseUrl::parse);
        let allowed_origins = self.read("allowed_origins", origins);
        let webhook_body_max = self.read("webhook_body_max", |text| whole(text, 1024, 16_777_216));
        let edge = self.edge();
        let log = self.read("log", log_filter);
        let stripe = self.stripe();
        let topup = self.topup();
        let bonus = self.bonus();
        let wallet = self.wallet();
        let refund = self.refund();
        let retry_minutes = self.read("auto_topup.retry_minutes", |text| whole(text, 1, 525_600));
        let facade_price = self.facade_price();
        let reconcile = self.reconcile();
        let jwt = self.jwt();
        let data = data?;
        Some(Config {
            listen: listen?,
            database: database.unwrap_or_else(|| data.join(DATABASE).into()),
            data,
            base_url,
            allowed_origins: allowed_origins?,
            webhook_body_max: usize::try_from(webhook_body_max?).ok()?,
            edge: edge?,
            log: log?,
            stripe: stripe?,
            topup: topup?,
            bonus: bonus?,
            wallet: wallet?,
            refund: refund?,
            auto_topup: AutoTopupConfig {
                retry_minutes: retry_minutes?,
            },
            facade_price: facade_price?,
            reconcile: reconcile?,
            jwt,
        })
    }

    fn stripe(&mut self) -> Option<StripeConfig> {
        let secret_key = self.optional("stripe.secret_key", secret_key);
        let webhook_secrets = self.optional("stripe.webhook_secret", webhook_secrets);
        let currency = self.read("stripe.currency", currency);
        let item_name = self.read("stripe.item_name", item_name);
        let api_base_url = self.optional("stripe.api_base_url", api_base);
        let elsewhere = api_base_url.as_ref().is_some_and(|base| base != BASE_URL);
        if elsewhere
            && secret_key
                .as_ref()
                .is_some_and(|key| key.mode() == Mode::Live)
        {
            self.problems.0.push(
                "STRIPE_API_BASE_URL: refused together with a live secret key, because the key would be sent \
                 there; remove one of the two"
                    .to_owned(),
            );
        }
        let success_url = self.optional("stripe.success_url", address::return_page);
        let cancel_url = self.optional("stripe.cancel_url", address::return_page);
        Some(StripeConfig {
            secret_key,
            webhook_secrets: webhook_secrets.unwrap_or_default(),
            currency: currency?,
            item_name: item_name?,
            api_base_url,
            success_url,
            cancel_url,
        })
    }

    fn wallet(&mut self) -> Option<WalletConfig> {
        let actions = self.read("wallet.actions", actions);
        let overdraft = self.read("wallet.overdraft", |text| whole(text, 0, CREDITS_MAX));
        let balance_low = self.read("wallet.balance_low", |text| whole(text, 0, CREDITS_MAX));
        let hold_seconds = self.read("wallet.hold_seconds", |text| whole(text, 1, SECONDS_MAX));
        let hold_overage = self.read("wallet.hold_overage", |text| {
            Overage::parse(text).ok_or_else(|| "must be refuse, charge or debt".to_owned())
        });
        let expiry_notice_days = self.read("wallet.expiry_notice_days", |text| whole(text, 0, 365));
        Some(WalletConfig {
            actions: actions?,
            overdraft: overdraft?,
            balance_low: balance_low?,
            hold_seconds: hold_seconds?,
            hold_overage: hold_overage?,
            expiry_notice_days: expiry_notice_days?,
        })
    }

    fn refund(&mut self) -> Option<RefundConfig> {
        let spent_credit = self.read("refund.spent_credit", |text| {
            SpentCredit::parse(text).ok_or_else(|| "must be debt, freeze or absorb".to_owned())
        });
        let on_fraud_warning = self.read("refund.on_fraud_warning", |text| {
            OnFraudWarning::parse(text).ok_or_else(|| "must be nothing or refund".to_owned())
        });
        let approval_above =
            self.optional("refund.approval_above", |text| whole(text, 0, CREDITS_MAX));
        Some(RefundConfig {
            spent_credit: spent_credit?,
            on_fraud_warning: on_fraud_warning?,
            approval_above,
        })
    }

    fn reconcile(&mut self) -> Option<Schedule> {
        let seconds = |text: &str| whole(text, 0, SECONDS_MAX);
        let events = self.read("reconcile.events_seconds", seconds);
        let objects = self.read("reconcile.objects_seconds", seconds);
        let count = self.read("reconcile.max_count", |text| whole(text, 0, CREDITS_MAX));
        let amount_max = self.optional("reconcile.max_amount", |text| whole(text, 0, CREDITS_MAX));
        Some(Schedule {
            events_seconds: u64::try_from(events?).ok()?,
            objects_seconds: u64::try_from(objects?).ok()?,
            count_max: u64::try_from(count?).ok()?,
            amount_max,
        })
    }

    fn jwt(&mut self) -> Option<JwtConfig> {
        let secret = self.optional("jwt.hs256_secret", jwt::hs256);
        let pem = self.optional("jwt.public_key_file", jwt::pem_file);
        let set = self.optional("jwt.jwks_file", jwt::jwks_file);
        let issuer = self.optional("jwt.issuer", not_empty);
        let audience = self.optional("jwt.audience", not_empty);
        let mut keys: Vec<JwtKey> = [secret, pem, set].into_iter().flatten().collect();
        if keys.len() > 1 {
            self.problems.0.push(
                "BURSAR_JWT_HS256_SECRET, BURSAR_JWT_PUBLIC_KEY_FILE and BURSAR_JWT_JWKS_FILE: set only one of them"
                    .to_owned(),
            );
        }
        Some(JwtConfig {
            key: keys.pop()?,
            issuer,
            audience,
        })
    }

    /// A setting that has a default, so it always has a value.
    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.optional(key, parse);
        if value.is_none() && self.values.get(key).is_none() {
            self.problems.0.push(format!("{key}: has no value"));
        }
        value
    }

    /// A setting that may be missing. The problem names the place and the setting; the value only if it is no secret.
    fn optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.values.get(key)?;
        let setting = setting::by_key(key)?;
        match parse(found.value.trim()) {
            Ok(value) => Some(value),
            Err(reason) => {
                let shown = if setting.secret || found.value.is_empty() {
                    String::new()
                } else {
                    format!(" (it is {:?})", found.value)
                };
                let name = setting.env;
                self.problems
                    .0
                    .push(format!("{name}: {reason}{shown} [{}]", found.origin));
                None
            }
        }
    }
}

/// The most credits a single purchase may be configured to: well inside what every price can multiply.
const CREDITS_MAX: i64 = 1_000_000_000_000;

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn listen_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err("must be an address and a port, such as 127.0.0.1:8787 or [::]:8787".to_owned()),
    }
}

fn origins(text: &str) -> Result<Vec<Origin>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Origin::parse)
        .collect()
}

/// `picture=10, token=1/1000`.
fn actions(text: &str) -> Result<Actions, String> {
    let mut actions = Actions::new();
    let parts = text.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        let named = part
            .split_once('=')
            .map(|(name, price)| (name.trim(), price.trim()));
        let (name, price) = named.unwrap_or((part, ""));
        let price = ActionPrice::parse(price).filter(|_| check_name(name).is_ok());
        let price = price.ok_or_else(|| {
            format!(
                "{part:?} must be a name and a price in credits, such as picture=10 or token=1/1000"
            )
        })?;
        if actions.insert(name.to_owned(), price).is_some() {
            return Err(format!("{name:?} has two prices"));
        }
    }
    Ok(actions)
}

fn whole(text: &str, least: i64, most: i64) -> Result<i64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is not a log filter: {error}")),
    }
}

fn currency(text: &str) -> Result<Unit, String> {
    Unit::currency(text).ok_or_else(|| {
        "must be a currency Stripe charges in, in lower case, such as usd".to_owned()
    })
}

fn item_name(text: &str) -> Result<String, String> {
    if (1..=250).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 250 printable characters".to_owned())
    }
}

fn secret_key(text: &str) -> Result<SecretKey, String> {
    SecretKey::new(text).map_err(|error| error.to_string())
}

fn webhook_secrets(text: &str) -> Result<Vec<signature::Secret>, String> {
    signature::parse_secrets(text).map_err(|error| error.to_string())
}

/// `https://host[/v1]` becomes `https://host`.
fn api_base(text: &str) -> Result<String, String> {
    let base = BaseUrl::parse(text)?;
    Ok(base
        .as_str()
        .strip_suffix("/v1")
        .unwrap_or(base.as_str())
        .to_owned())
}

#[cfg(test)]
mod tests;
