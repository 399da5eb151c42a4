//! A03, C08, C19, J09: a program that is configured to be attacked does not start. It names the setting, and never its value.

use crate::program::command;
use crate::world::settings;

const GOOD: &[(&str, &str)] = &[
    ("BURSAR_BASE_URL", "https://pay.example.com"),
    ("BURSAR_LISTEN", "127.0.0.1:0"),
    ("STRIPE_SECRET_KEY", "sk_test_aB3dE5fG7hJ9kL1mN2pQ"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_aB3dE5fG7hJ9kL1mN2pQ"),
];

/// The case, the settings that are other than good ones, and the name that has to be told.
#[rustfmt::skip]
const BAD: &[(&str, &[(&str, &str)], &str)] = &[
    ("A03 no secret", &[("STRIPE_WEBHOOK_SECRET", "")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 a blank", &[("STRIPE_WEBHOOK_SECRET", " ")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 the prefix", &[("STRIPE_WEBHOOK_SECRET", "whsec_")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 a gap", &[("STRIPE_WEBHOOK_SECRET", "whsec_xxxxxxxxxxxxxxxxxxxxxxxx")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 a word", &[("STRIPE_WEBHOOK_SECRET", "changeme")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 a template", &[("STRIPE_WEBHOOK_SECRET", "whsec_your_signing_secret_here")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 too short", &[("STRIPE_WEBHOOK_SECRET", "whsec_aB3dE5")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 a key in its place", &[("STRIPE_WEBHOOK_SECRET", "sk_test_aB3dE5fG7hJ9kL1mN2pQ")], "STRIPE_WEBHOOK_SECRET"),
    ("A03 an empty one beside a good one", &[("STRIPE_WEBHOOK_SECRET", "whsec_aB3dE5fG7hJ9kL1mN2pQ,")], "STRIPE_WEBHOOK_SECRET"),
    ("C08 no address", &[("BURSAR_BASE_URL", "")], "BURSAR_BASE_URL"),
    ("C08 real money without TLS", &[("BURSAR_BASE_URL", "http://pay.example.com"), ("STRIPE_SECRET_KEY", "sk_live_aB3dE5fG7hJ9kL1mN2pQ")], "BURSAR_BASE_URL"),
    ("C08 an address with a user", &[("BURSAR_BASE_URL", "https://evil@pay.example.com")], "BURSAR_BASE_URL"),
    ("C08 an origin with a star", &[("BURSAR_ALLOWED_ORIGINS", "*")], "BURSAR_ALLOWED_ORIGINS"),
    ("C19 a live key that would go elsewhere", &[("STRIPE_SECRET_KEY", "sk_live_aB3dE5fG7hJ9kL1mN2pQ"), ("STRIPE_API_BASE_URL", "https://evil.test")], "STRIPE_API_BASE_URL"),
    ("J09 a publishable key", &[("STRIPE_SECRET_KEY", "pk_test_aB3dE5fG7hJ9kL1mN2pQ")], "STRIPE_SECRET_KEY"),
    ("J09 a name that is not known", &[("BURSAR_WEBHOOK_SECRET", "x")], "BURSAR_WEBHOOK_SECRET"),
    ("J09 a name with a mistake", &[("STRIPE_WEBHOOK_SECRETS", "x")], "STRIPE_WEBHOOK_SECRETS"),
    ("F04 a short secret for tokens", &[("BURSAR_JWT_HS256_SECRET", "short")], "BURSAR_JWT_HS256_SECRET"),
    ("F04 two kinds of keys for tokens", &[("BURSAR_JWT_HS256_SECRET", "kE5yFdLr2mTqXc8uZb1wVn4sAj7hPg0o"), ("BURSAR_JWT_JWKS_FILE", "/dev/null")], "BURSAR_JWT_JWKS_FILE"),
    ("I06 proxies that are none", &[("BURSAR_TRUSTED_PROXIES", "everybody")], "BURSAR_TRUSTED_PROXIES"),
    ("C16 a rate that is none", &[("BURSAR_RATE_CHECKOUT", "fast")], "BURSAR_RATE_CHECKOUT"),
    ("I01 a body without end", &[("BURSAR_WEBHOOK_BODY_MAX", "99999999999")], "BURSAR_WEBHOOK_BODY_MAX"),
    ("J07 a database that is none", &[("DATABASE_URL", "mysql://bursar:Canary9@localhost/x")], "DATABASE_URL"),
];

#[test]
fn a_program_that_is_configured_to_be_attacked_does_not_start() {
    for (case, other, named) in BAD {
        let folder = tempfile::tempdir().unwrap();
        let mut all = settings(GOOD);
        for (name, value) in *other {
            all.retain(|(known, _)| known != name);
            if !value.is_empty() {
                all.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let output = command(&["serve"], &all, folder.path()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success(), "{case}: it has started: {said}");
        assert!(said.contains(named), "{case}: {said}");
        assert!(!said.contains("panicked"), "{case}: {said}");
        // Values of secrets are not repeated.
        let secrets = other
            .iter()
            .filter(|(name, value)| name.contains("SECRET") && value.len() > 6);
        for (name, value) in secrets {
            assert!(
                !said.contains(value),
                "{case}: the value of {name} is told: {said}"
            );
        }
        assert!(!said.contains("Canary"), "{case}: {said}");
    }
}
