//! Where Stripe sends a customer back to. Never to a place that only the request names.

use http::{HeaderMap, StatusCode, Uri, header};

use super::error::ApiError;
use crate::config::address::is_loopback_host;
use crate::config::{BaseUrl, Config, Origin};

/// The two pages of a checkout.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) success: String,
    pub(super) cancel: String,
}

/// The configured pages; else this server's own below its base URL; else below the origin of the request, if that is this
/// machine or on the operator's list. `X-Forwarded-*` and `Origin` are not looked at: anybody can send them.
pub(super) fn pages(config: &Config, headers: &HeaderMap, uri: &Uri) -> Result<Pages, ApiError> {
    let stripe = &config.stripe;
    if let (Some(success), Some(cancel)) = (&stripe.success_url, &stripe.cancel_url) {
        return Ok(Pages {
            success: success.clone(),
            cancel: cancel.clone(),
        });
    }
    let base = match &config.base_url {
        Some(base) => base.as_str().to_owned(),
        None => own_origin(config, headers, uri).ok_or_else(base_url_missing)?,
    };
    let page = |name| format!("{base}/v1/payment.stripe/redirect/{name}");
    Ok(Pages {
        success: stripe
            .success_url
            .clone()
            .unwrap_or_else(|| page("success?session_id={CHECKOUT_SESSION_ID}")),
        cancel: stripe.cancel_url.clone().unwrap_or_else(|| page("cancel")),
    })
}

/// A page that the request names: only below the base URL's origin, one of the operator's list, or this machine if the request came
/// to it.
pub(super) fn chosen(
    config: &Config,
    headers: &HeaderMap,
    uri: &Uri,
    (name, text): (&str, &str),
) -> Result<String, ApiError> {
    let origin = Origin::of_page(text).map_err(|why| ApiError::invalid(name, why))?;
    let base = config.base_url.as_ref().map(BaseUrl::origin);
    let listed = config.allowed_origins.iter().chain(base);
    let own = own_origin(config, headers, uri);
    if listed
        .map(Origin::as_str)
        .any(|known| known == origin.as_str())
        || own.is_some_and(|own| own == origin.as_str())
    {
        return Ok(text.to_owned());
    }
    let message = "is at an address that this server does not send customers to: the operator can add it to \
                   BURSAR_ALLOWED_ORIGINS";
    Err(ApiError::invalid(name, message))
}

fn base_url_missing() -> ApiError {
    let message = "the server does not know its public address, and this request came to one that is not on its list: \
                   set BURSAR_BASE_URL, or STRIPE_SUCCESS_URL and STRIPE_CANCEL_URL, or BURSAR_ALLOWED_ORIGINS";
    ApiError::new(StatusCode::BAD_REQUEST, "base_url_missing", message)
}

/// The origin the request was sent to, if it can be believed.
fn own_origin(config: &Config, headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let host = host(headers, uri)?;
    if let Some(origin) = config
        .allowed_origins
        .iter()
        .find(|origin| origin.authority() == host)
    {
        return Some(origin.as_str().to_owned());
    }
    is_loopback(&host).then(|| format!("http://{host}"))
}

/// Host and port of a request in lower case. None if there is not exactly one, or if request line and header disagree.
pub(super) fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = values.next()?.to_str().ok()?.to_ascii_lowercase();
    let agrees = uri
        .authority()
        .is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(&host));
    (values.next().is_none() && agrees).then_some(host)
}

/// Whether `host`, with or without a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let plain_port = port
        .is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
    plain_port && is_loopback_host(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let sources = Sources::of_environment(pairs.iter().copied());
        Config::load(&sources).unwrap().0
    }

    fn asked(config: &Config, host: &str) -> Result<Pages, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        headers.insert("x-forwarded-host", "evil.test".parse().unwrap());
        headers.insert("origin", "https://evil.test".parse().unwrap());
        pages(config, &headers, &"/v1/x".parse().unwrap())
    }

    #[test]
    fn the_base_url_wins_over_whatever_the_request_says() {
        let config = config(&[("BURSAR_BASE_URL", "https://pay.example.com/billing/")]);
        let pages = asked(&config, "evil.test").unwrap();
        assert_eq!(
            pages.success,
            "https://pay.example.com/billing/v1/payment.stripe/redirect/success?session_id={CHECKOUT_SESSION_ID}"
        );
        assert!(
            pages
                .cancel
                .starts_with("https://pay.example.com/billing/v1/payment.stripe/redirect/cancel")
        );
    }

    #[test]
    fn configured_pages_win_over_the_base_url() {
        let config = config(&[
            ("BURSAR_BASE_URL", "https://pay.example.com"),
            ("STRIPE_SUCCESS_URL", "https://app.example.com/thanks"),
        ]);
        let pages = asked(&config, "evil.test").unwrap();
        assert_eq!(pages.success, "https://app.example.com/thanks");
        assert!(pages.cancel.starts_with("https://pay.example.com/"));
    }

    #[test]
    fn a_request_to_this_machine_returns_there() {
        let config = config(&[]);
        for host in [
            "127.0.0.1:8787",
            "localhost:8787",
            "[::1]:8787",
            "LOCALHOST",
        ] {
            let pages = asked(&config, host).unwrap();
            let expected = format!(
                "http://{}/v1/payment.stripe/redirect/success?",
                host.to_lowercase()
            );
            assert!(pages.success.starts_with(&expected), "{}", pages.success);
        }
    }

    #[test]
    fn any_other_host_is_refused_unless_listed() {
        let open = config(&[]);
        for host in [
            "evil.test",
            "127.0.0.1.evil.test",
            "localhost.evil.test:80",
            "127.0.0.1:80@evil.test",
            "[::1].evil.test",
            "127.0.0.1:80x",
            "0.0.0.0:80",
        ] {
            assert_eq!(
                asked(&open, host).unwrap_err().code,
                "base_url_missing",
                "{host}"
            );
        }
        let listed = config(&[(
            "BURSAR_ALLOWED_ORIGINS",
            "https://app.example.com,https://b.example.com:8443",
        )]);
        assert!(
            asked(&listed, "app.example.com")
                .unwrap()
                .success
                .starts_with("https://app.example.com/v1/")
        );
        assert!(
            asked(&listed, "b.example.com:8443")
                .unwrap()
                .success
                .starts_with("https://b.example.com:8443/v1/")
        );
        for host in [
            "b.example.com",
            "app.example.com:444",
            "app.example.com.evil.test",
            "xapp.example.com",
        ] {
            assert!(asked(&listed, host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_request_line_that_contradicts_its_host_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8787".parse().unwrap());
        let uri: Uri = "http://evil.test/v1/x".parse().unwrap();
        assert!(pages(&config(&[]), &headers, &uri).is_err());
    }
}
