use std::fs;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources::of_environment(pairs.iter().copied())
}

fn problems(pairs: &[(&str, &str)]) -> String {
    Config::load(&environment(pairs)).unwrap_err().to_string()
}

#[test]
fn the_default_file_is_the_defaults_and_names_every_setting() {
    let (config, _) = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8787");
    assert_eq!(config.topup.min, 50);
    assert!(config.stripe.secret_key.is_none() && config.jwt.is_none());
    for setting in setting::SETTINGS {
        let key = setting.key.rsplit('.').next().unwrap();
        assert!(
            DEFAULTS.contains(&format!("{key} = ")),
            "{key} is not in the default file"
        );
        assert!(
            DEFAULTS.contains(setting.env),
            "{} is not in the default file",
            setting.env
        );
    }
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    let dotenv = folder.path().join(".env");
    fs::write(
        &file,
        "listen = \"1.1.1.1:1\"\nlog = \"warn\"\n[topup]\nmin = 7\nmax = 8\n",
    )
    .unwrap();
    fs::write(
        &dotenv,
        "BURSAR_LISTEN=2.2.2.2:2\nBURSAR_TOPUP_MAX=9\nOTHER=1\n",
    )
    .unwrap();
    let mut sources = environment(&[
        ("BURSAR_LISTEN", "3.3.3.3:3"),
        ("STRIPE_ITEM_NAME", "Coins"),
    ]);
    sources.file = Some(file);
    sources.dotenv = Some(dotenv);
    sources.flag("listen", "--listen", Some("4.4.4.4:4".to_owned()));
    let (config, values) = Config::load(&sources).unwrap();
    assert_eq!(config.listen, "4.4.4.4:4");
    assert_eq!((config.topup.min, config.topup.max), (7, 9));
    assert_eq!(config.stripe.item_name, "Coins");
    assert_eq!(values.get("listen").unwrap().origin, "--listen");
    assert_eq!(
        values.get("stripe.item_name").unwrap().origin,
        "environment STRIPE_ITEM_NAME"
    );
}

#[test]
fn unknown_names_are_named_with_their_neighbour() {
    let text = problems(&[
        ("STRIPE_SECRTE_KEY", "sk_test_abc123"),
        ("BURSAR_DATE", "x"),
    ]);
    assert!(
        text.contains("unknown name STRIPE_SECRTE_KEY; did you mean STRIPE_SECRET_KEY?"),
        "{text}"
    );
    assert!(
        text.contains("unknown name BURSAR_DATE; did you mean BURSAR_DATA?"),
        "{text}"
    );
    assert!(!text.contains("sk_test_abc123"), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bursar.toml");
    fs::write(
        &file,
        "lisen = \"x\"\n[stripe]\nsecret = \"sk_test_abc123\"\n",
    )
    .unwrap();
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    let text = Config::load(&sources).unwrap_err().to_string();
    assert!(
        text.contains("unknown key `lisen`; did you mean `listen`?"),
        "{text}"
    );
    assert!(text.contains("unknown key `stripe.secret`"), "{text}");
    assert!(!text.contains("sk_test_abc123"), "{text}");
}

#[test]
fn all_problems_are_reported_and_no_secret_is_shown() {
    let text = problems(&[
        ("STRIPE_SECRET_KEY", "pk_test_abcdef123"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_xxx"),
        ("STRIPE_CURRENCY", "USD"),
        ("BURSAR_TOPUP_MIN", "1e3"),
        ("BURSAR_CREDIT_PRICE", "0.5"),
        ("BURSAR_BASE_URL", "billing.example.com"),
        ("BURSAR_JWT_HS256_SECRET", "short"),
        ("BURSAR_LISTEN", "8787"),
    ]);
    for name in [
        "STRIPE_SECRET_KEY: this is Stripe's publishable key",
        "STRIPE_WEBHOOK_SECRET: the webhook signing secret is a placeholder",
        "STRIPE_CURRENCY: must be",
        "BURSAR_TOPUP_MIN: must be a whole number from 1",
        "BURSAR_BASE_URL: must be an address",
        "BURSAR_JWT_HS256_SECRET: must have",
        "BURSAR_LISTEN: must be",
    ] {
        assert!(text.contains(name), "{name} is missing in: {text}");
    }
    for value in ["pk_test_abcdef123", "whsec_xxx", "short"] {
        assert!(!text.contains(value), "{value} is shown in: {text}");
    }
}

#[test]
fn an_empty_secret_is_an_error_that_names_it() {
    for name in [
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "BURSAR_JWT_HS256_SECRET",
    ] {
        for value in ["", "  "] {
            assert!(
                problems(&[(name, value)]).contains(name),
                "{name}={value:?}"
            );
        }
    }
    for value in ["whsec_", "whsec_0123456789abcdefghij,"] {
        assert!(
            problems(&[("STRIPE_WEBHOOK_SECRET", value)]).contains("STRIPE_WEBHOOK_SECRET"),
            "{value}"
        );
    }
}

#[test]
fn a_live_key_never_goes_to_another_host() {
    let text = problems(&[
        ("STRIPE_SECRET_KEY", "sk_live_abcdefgh123456"),
        ("STRIPE_API_BASE_URL", "http://127.0.0.1:9000/v1"),
    ]);
    assert!(
        text.contains("STRIPE_API_BASE_URL: refused together with a live secret key"),
        "{text}"
    );
    assert!(!text.contains("abcdefgh"), "{text}");
}

#[test]
fn the_api_base_is_taken_with_and_without_version() {
    for text in [
        "http://127.0.0.1:9000",
        "http://127.0.0.1:9000/",
        "http://127.0.0.1:9000/v1",
        "http://127.0.0.1:9000/v1/",
    ] {
        let sources = environment(&[
            ("STRIPE_SECRET_KEY", "sk_test_abc123"),
            ("STRIPE_API_BASE_URL", text),
        ]);
        let (config, _) = Config::load(&sources).unwrap();
        assert_eq!(
            config.stripe.api_base_url.as_deref(),
            Some("http://127.0.0.1:9000"),
            "{text}"
        );
    }
}

#[test]
fn several_webhook_secrets_are_all_accepted() {
    let sources = environment(&[(
        "STRIPE_WEBHOOK_SECRET",
        "whsec_new0123456789abcdef, whsec_old0123456789abcdef",
    )]);
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(config.stripe.webhook_secrets.len(), 2);
}

#[test]
fn a_secret_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "sk_test_fromfile123\n").unwrap();
    let path = file.to_str().unwrap();
    let (config, _) = Config::load(&environment(&[("STRIPE_SECRET_KEY_FILE", path)])).unwrap();
    assert_eq!(
        config.stripe.secret_key.unwrap(),
        SecretKey::new("sk_test_fromfile123").unwrap()
    );
    let both = [
        ("STRIPE_SECRET_KEY_FILE", path),
        ("STRIPE_SECRET_KEY", "sk_test_other123"),
    ];
    assert!(problems(&both).contains("both set the same thing"));
}

#[test]
fn the_alias_of_the_base_url_works_and_may_not_contradict() {
    let alias = ("DOWNCITY_CITY_BASE_URL", "https://pay.example.com/");
    let (config, _) = Config::load(&environment(&[alias])).unwrap();
    assert_eq!(config.base_url.unwrap().as_str(), "https://pay.example.com");
    assert!(
        problems(&[alias, ("BURSAR_BASE_URL", "https://other.example.com")]).contains("keep one")
    );
}

#[test]
fn the_table_masks_secrets() {
    let sources = environment(&[
        ("STRIPE_SECRET_KEY", "sk_test_abcdefghijklmnopqrst"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_abcdefghijklmnopqrst"),
    ]);
    let (config, values) = Config::load(&sources).unwrap();
    let text = table(&values);
    assert!(
        text.contains("sk_test_…qrst") && text.contains("environment STRIPE_SECRET_KEY"),
        "{text}"
    );
    assert!(
        !text.contains("abcdefgh") && !text.contains("whsec_"),
        "{text}"
    );
    let debug = format!("{config:?} {values:?}");
    assert!(!debug.contains("abcdefgh"), "{debug}");
}

#[test]
fn the_part_about_spending_has_defaults_that_limit_nothing_needlessly() {
    let (config, _) = Config::load(&Sources::default()).unwrap();
    let wallet = config.wallet;
    assert!(wallet.actions.is_empty());
    assert_eq!((wallet.overdraft, wallet.balance_low), (1_000_000, 0));
    assert_eq!(
        (wallet.hold_seconds, wallet.hold_overage),
        (900, Overage::Charge)
    );
    assert_eq!(wallet.expiry_notice_days, 7);
}

#[test]
fn prices_of_actions_are_read_from_a_list_or_from_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    fs::write(
        &file,
        "[wallet]\nactions = [\"picture=10\", \"token = 1/1000\"]\n",
    )
    .unwrap();
    let listed = Sources {
        file: Some(file),
        ..Sources::default()
    };
    let text = environment(&[("BURSAR_ACTIONS", " picture=10 , token=1/1000,")]);
    for sources in [listed, text] {
        let (config, _) = Config::load(&sources).unwrap();
        let prices: Vec<(&str, i64, i64)> = config
            .wallet
            .actions
            .iter()
            .map(|(name, price)| (name.as_str(), price.numerator, price.denominator))
            .collect();
        assert_eq!(prices, [("picture", 10, 1), ("token", 1, 1_000)]);
    }
}

#[test]
fn what_is_wrong_about_spending_is_said_by_the_name_of_the_setting() {
    for actions in [
        "picture",
        "picture=",
        "picture=0",
        "picture=-1",
        "picture=0.5",
        "picture=1/0",
        "=10",
        "a picture=10",
        "bild\u{e4}=10",
        "picture=10000000000",
        "picture=10,picture=20",
    ] {
        let text = problems(&[("BURSAR_ACTIONS", actions)]);
        assert!(text.contains("BURSAR_ACTIONS: "), "{actions}: {text}");
    }
    for (name, value) in [
        ("BURSAR_OVERDRAFT", "-1"),
        ("BURSAR_OVERDRAFT", "1000000000001"),
        ("BURSAR_BALANCE_LOW", "ten"),
        ("BURSAR_HOLD_SECONDS", "0"),
        ("BURSAR_HOLD_SECONDS", "2592001"),
        ("BURSAR_HOLD_OVERAGE", "Charge"),
        ("BURSAR_EXPIRY_NOTICE_DAYS", "366"),
    ] {
        let text = problems(&[(name, value)]);
        assert!(text.contains(&format!("{name}: ")), "{name}: {text}");
        assert!(text.contains(value), "{name}: {text}");
    }
}
