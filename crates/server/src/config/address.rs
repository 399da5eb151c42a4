//! Addresses people configure: the public base URL, allowed origins, return pages.

use std::net::Ipv4Addr;

use reqwest::Url;

/// Scheme, host and port of a page, in the one spelling in which they are compared: lower case, default port left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads `https://app.example.com`: no path, no user, nothing behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = web_address(text)?;
        if url.path() != "/" || url.query().is_some() {
            return Err("must be an origin: scheme, host and port, nothing behind them".to_owned());
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// The origin of a page that browsers may be sent to.
    pub fn of_page(text: &str) -> Result<Self, String> {
        web_address(text).map(|url| Self(url.origin().ascii_serialization()))
    }

    /// `https://app.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port as a `Host` header spells them.
    pub fn authority(&self) -> &str {
        self.0
            .split_once("://")
            .map_or("", |(_, authority)| authority)
    }
}

/// The public address of this server: an origin, perhaps with a path below which a proxy mounts it. No slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    origin: Origin,
    secure: bool,
    loopback: bool,
}

impl BaseUrl {
    /// Reads and normalises an address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = web_address(text)?;
        if url.query().is_some() {
            return Err("must not have a query".to_owned());
        }
        let origin = Origin(url.origin().ascii_serialization());
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            text: format!("{}{path}", origin.as_str()),
            secure: url.scheme() == "https",
            loopback: is_loopback_host(url.host_str().unwrap_or_default()),
            origin,
        })
    }

    /// The address without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it names this machine only.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// A page browsers may be sent to: http or https, without a user in it. Placeholders such as `{CHECKOUT_SESSION_ID}` are
/// kept as written.
pub fn return_page(text: &str) -> Result<String, String> {
    web_address(text).map(|_| text.to_owned())
}

/// Parses http and https addresses strictly. The parser follows the browsers' standard, which forgives spaces, tabs and
/// backslashes; a forgiven address is not the one a person reads, so those are refused first.
fn web_address(text: &str) -> Result<Url, String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let scheme = text.starts_with("https://") || text.starts_with("http://");
    if !plain || !scheme {
        return Err("must be an address such as https://billing.example.com".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("must not contain a user or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#…)".to_owned());
    }
    match url.host_str() {
        Some(host) if !host.ends_with('.') => Ok(url),
        _ => Err("needs a host name".to_owned()),
    }
}

/// Whether a host as written in an address or a `Host` header (without its port) can only mean this machine. Spellings
/// that merely resolve to it (`127.1`, `localhost.example.com`) are not accepted.
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_normalised() {
        let base = BaseUrl::parse("https://Billing.Example.com:443/pay/").unwrap();
        assert_eq!(base.as_str(), "https://billing.example.com/pay");
        assert_eq!(base.origin().as_str(), "https://billing.example.com");
        assert!(base.is_secure() && !base.is_loopback());
        assert!(
            BaseUrl::parse("http://127.0.0.1:8787")
                .unwrap()
                .is_loopback()
        );
        assert!(BaseUrl::parse("http://[::1]:8787").unwrap().is_loopback());
    }

    #[test]
    fn addresses_with_a_trick_in_them_are_refused() {
        for text in [
            "",
            "example.com",
            "//evil.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "https:evil.test",
            "https://good.test@evil.test",
            "https://user:pass@good.test",
            "https://good.test\\evil.test",
            "https://good.test/ x",
            "https://good\t.test",
            "https://good.test.",
            "https://good.test/#x",
            "ftp://good.test",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
            assert!(return_page(text).is_err(), "{text}");
        }
        assert!(Origin::parse("https://good.test/path").is_err());
        assert!(BaseUrl::parse("https://good.test/?a=b").is_err());
    }

    #[test]
    fn a_return_page_keeps_stripes_placeholder() {
        let page = "https://app.test/done?session_id={CHECKOUT_SESSION_ID}";
        assert_eq!(return_page(page).unwrap(), page);
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.255.0.3",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "localhost.evil.test",
            "evil.test",
            "0.0.0.0",
            "",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
