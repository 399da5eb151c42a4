//! Requests to the wallet, put together without a JSON library: the load must cost little on a machine it shares.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;

/// Gives credits to a wallet.
pub(in super::super) const GRANT: &str = "/v1/balance/grants/create";
/// Takes credits.
pub(in super::super) const CHARGE: &str = "/v1/balance/charge";
/// Takes credits many times at once.
pub(in super::super) const BATCH: &str = "/v1/balance/charge/batch";
/// Keeps credits back.
pub(in super::super) const HOLD: &str = "/v1/balance/holds/create";
/// Takes what was kept back, or less.
pub(in super::super) const SETTLE: &str = "/v1/balance/holds/settle";
/// Lists wallets.
pub(super) const WALLETS: &str = "/v1/balance/users";

/// Charges in one request of the batch form.
pub(in super::super) const CHARGES_OF_A_BATCH: usize = 1000;

/// What all requests to one address have in common.
#[derive(Debug, Clone)]
pub(super) struct Form {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Form {
    /// Posts JSON to this path.
    pub(super) fn post(path: &str, admin_key: &str) -> anyhow::Result<Self> {
        let mut form = Self::get(path, admin_key)?;
        form.method = Method::POST;
        let json = HeaderValue::from_static("application/json");
        form.headers.insert(header::CONTENT_TYPE, json);
        Ok(form)
    }

    /// Reads what is at this path.
    pub(super) fn get(path: &str, admin_key: &str) -> anyhow::Result<Self> {
        let bearer = HeaderValue::try_from(format!("Bearer {admin_key}"))?;
        let agent = HeaderValue::from_static("bursar bench");
        Ok(Self {
            method: Method::GET,
            uri: path.parse()?,
            headers: [(header::AUTHORIZATION, bearer), (header::USER_AGENT, agent)]
                .into_iter()
                .collect(),
        })
    }

    /// A request with this body.
    pub(super) fn request(&self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// The id of a hold in the answer that made it.
pub(super) fn hold_id(answer: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(answer)
        .ok()?
        .split_once(r#""hold_id":""#)?;
    let (id, _) = rest.split_once('"')?;
    (!id.is_empty()).then_some(id)
}

/// How many of a batch were not charged. An item without the id of a charge was not, whatever else it says.
pub(super) fn not_charged(answer: &[u8], asked: usize) -> usize {
    let Ok(answer) = std::str::from_utf8(answer) else {
        return asked;
    };
    let charged = answer.matches(r#""charge_id":""#).count();
    let refused = answer.matches(r#""error":{"#).count() + answer.matches(r#""error":""#).count();
    asked.saturating_sub(charged).max(refused).min(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_hold_is_found_among_the_other_fields() {
        assert_eq!(
            hold_id(br#"{"user_id":"u1","hold_id":"hld_7","credits":5}"#),
            Some("hld_7")
        );
        for none in [
            &b"{}"[..],
            br#"{"hold_id":null}"#,
            br#"{"hold_id":""}"#,
            br#"{"hold_id":"hld_"#,
            b"\xff",
        ] {
            assert_eq!(hold_id(none), None);
        }
    }

    #[test]
    fn an_item_counts_as_charged_only_with_the_id_of_its_charge() {
        let answer = br#"{"items":[{"charge_id":"chg_1"},{"error":{"code":"x"}},{"charge_id":"chg_2","error":null}]}"#;
        assert_eq!(not_charged(answer, 3), 1);
        assert_eq!(not_charged(answer, 5), 3);
        assert_eq!(not_charged(br#"{"items":[]}"#, 2), 2);
        assert_eq!(not_charged(b"\xff", 2), 2);
        assert_eq!(
            not_charged(br#"{"items":[{"charge_id":"chg_1","error":{}}]}"#, 1),
            1
        );
    }

    #[test]
    fn a_request_carries_the_key_and_the_body() {
        let form = Form::post(CHARGE, "bursar_admin_1").unwrap();
        let request = form.request("{}");
        assert_eq!(request.uri(), CHARGE);
        assert_eq!(
            request.headers()[header::AUTHORIZATION],
            "Bearer bursar_admin_1"
        );
        assert!(Form::get(WALLETS, "line\nbreak").is_err());
    }
}
