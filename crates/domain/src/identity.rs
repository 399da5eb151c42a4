//! What an e-mail address comes to, so that one mailbox under many names is one.

/// The address in the form whose digest is compared: lower case, without what follows a `+`, and without dots where the provider
/// ignores them. None if it is no address.
///
/// Only what is known of a provider is undone: to others, a dot is a different mailbox.
pub fn normalized(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@')?;
    let domain = domain.trim_end_matches('.');
    let domain = if domain == "googlemail.com" {
        "gmail.com"
    } else {
        domain
    };
    let local = local.split('+').next().unwrap_or_default();
    let local = match domain {
        "gmail.com" => local.replace('.', ""),
        _ => local.to_owned(),
    };
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['@', ' ', '\n', '\t']);
    (is_plain(&local) && is_plain(domain) && domain.contains('.'))
        .then(|| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn one_mailbox_under_many_names_is_one() {
        for alias in [
            "anna.b@gmail.com",
            "Anna.B@Gmail.com",
            "annab+shop@gmail.com",
            "a.n.n.a.b+1+2@googlemail.com",
            " annab@gmail.com. ",
        ] {
            assert_eq!(
                normalized(alias).as_deref(),
                Some("annab@gmail.com"),
                "{alias}"
            );
        }
        assert_eq!(
            normalized("a.b+x@shop.example").as_deref(),
            Some("a.b@shop.example")
        );
        assert_ne!(
            normalized("a.b@shop.example"),
            normalized("ab@shop.example")
        );
        for text in [
            "anna",
            "@gmail.com",
            "+x@gmail.com",
            "...@gmail.com",
            "a@",
            "a@localhost",
            "auth0|5f7c",
        ] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }
}
